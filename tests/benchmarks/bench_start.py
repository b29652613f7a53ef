"""What it costs to begin: processor seconds beside the bare import of what a command needs.

Each command is a process of its own, rounds alternate, and the least of each counts: what others
do on the machine only adds. Byte code is there. With --other, the peak memory of the default `run`
beside that of another build, a checkout with a .venv of its own.

    python -m tests.benchmarks.bench_start [--rounds 5] [--other DIR] [--seconds 20] [--json FILE]
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.child_costs import ROOT, SCRIPT, Spent, spent
from tests.benchmarks.options import keep, parser_of

CONFIG = ROOT / "docs" / "examples" / "simulation.yaml"
LIBRARIES = (
    "import typer, pydantic, yaml, numpy, pyarrow.parquet, pyarrow.compute, bytewax.operators"
)
MINUTE = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:01:00Z", "--overwrite")
COMMANDS: Mapping[str, Sequence[str | Path]] = {
    "typer": (sys.executable, "-c", "import typer"),
    "libraries": (sys.executable, "-c", LIBRARIES),
    "help": (SCRIPT, "--help"),
    "check": (SCRIPT, "check", CONFIG),
    "export": (SCRIPT, "export", CONFIG, *MINUTE),
}
BARE = {"help": ("typer", 1.3), "check": ("libraries", 1.3), "export": ("libraries", 1.6)}
"""What a command is held against, and how many times as much it may take."""
MEMORY = 0.75
"""What the default `run` may take of what it took at 85bbb6c."""


def least(rounds: int) -> dict[str, float]:
    """Processor seconds of each command: the least of so many rounds."""
    with tempfile.TemporaryDirectory(prefix="mqpipe-bench-") as name:
        folder = Path(name)
        taken: dict[str, list[float]] = {command: [] for command in COMMANDS}
        for number in range(rounds + 1):
            for command, words in COMMANDS.items():
                cpu = spent(words, folder).cpu
                if number:  # the first one writes byte code
                    taken[command].append(cpu)
        return {command: min(seconds) for command, seconds in taken.items()}


def running(script: Path, seconds: float) -> Spent:
    """The default `run`, for so many seconds."""
    with tempfile.TemporaryDirectory(prefix="mqpipe-bench-") as name:
        return spent([script, "run", "--no-live", "--for", f"{seconds:g}s"], Path(name))


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--other", type=Path, metavar="DIR", help="a checkout of another build")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long `run` runs")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    cpu = least(options.rounds)
    figures: dict[str, float] = {f"{name}_cpu_seconds": value for name, value in cpu.items()}
    print(f"{'':8} {'CPU s':>7} {'times':>6} {'at most':>8}  of the bare import of")
    for command, (bare, most) in BARE.items():
        figures[f"{command}_ratio"] = ratio = cpu[command] / cpu[bare]
        print(
            f"{command:8} {cpu[command]:>7.3f} {ratio:>6.2f} {most:>8}  {bare} ({cpu[bare]:.3f} s)"
        )
    ours = running(SCRIPT, options.seconds)
    figures["run_peak_bytes"] = ours.peak_bytes
    print(f"run      {ours.peak_bytes / 1e6:,.0f} MB at its peak", end="")
    if options.other is not None:
        theirs = running(options.other.absolute() / ".venv" / "bin" / "mqpipe", options.seconds)
        figures["run_peak_bytes_other"] = theirs.peak_bytes
        figures["run_peak_ratio"] = ratio = ours.peak_bytes / theirs.peak_bytes
        print(f", {ratio:.2f} (at most {MEMORY}) of {theirs.peak_bytes / 1e6:,.0f} MB", end="")
    print()
    keep(figures, options.json)


if __name__ == "__main__":
    main()
