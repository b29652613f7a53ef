"""Runs every benchmark in turn: `python -m tests.benchmarks [--full] [--json DIR] [NAME …]`.

Each is a script of its own (`python -m tests.benchmarks.bench_pool --help`), prints a table of
medians and ratios, and is over in a few seconds unless `--full` is given. Their figures go to the
JSON folder too, and so does `cost.svg`, a picture of cost against work.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.child_costs import ROOT
from tests.benchmarks.cost_lines import draw_cost

SHORT: Mapping[str, Sequence[str]] = {
    "cluster": ("--ticks", "60", "--rounds", "3"),
    "clusters": ("--clusters", "10", "--seconds", "20"),
    "day": ("--hours", "0.5", "--speed", "60", "--scale", "0.1"),
    "drain": ("--clusters", "20", "--ticks", "3"),
    "encode": ("--rounds", "3"),
    "isolation": ("--seconds", "5", "--interval", "0.5", "--targets", "20"),
    "merge": ("--samples", "200000", "--rounds", "3"),
    "outage": ("--up", "5", "--down", "15"),
    "parquet": ("--rows", "500000", "--rounds", "3"),
    "pool": ("--tasks", "50000", "--rounds", "3"),
    "ranges": ("--rows", "200000"),
    "recovery": ("--ticks", "60", "--rounds", "3"),
    "replay": ("--rows", "500000", "--rounds", "3"),
    "scrape": ("--partitions", "1000", "--groups", "100", "--interval", "10", "--rounds", "2"),
    "simulate": ("--rows", "200000", "--rounds", "3"),
    "start": ("--seconds", "5"),
    "targets": ("--targets", "300", "3000", "--interval", "5", "--ticks", "2"),
    "watch": ("--partitions", "1000", "--groups", "100", "--interval", "15", "--ticks", "2"),
}
"""What makes a benchmark short where it is not so by itself."""

FULL: Mapping[str, Sequence[str]] = {
    "cluster": ("--ticks", "1200"),
    "collect": ("--full",),
    "day": ("--speed", "96", "--scale", "0.5"),
    "export": ("--full",),
    "isolation": ("--seconds", "300"),
    "merge": ("--topics", "100", "1000", "10000", "100000"),
    "pool": ("--tasks", "1000000"),
    "replay": ("--rows", "20000000"),
    "report": ("--full",),
    "score": ("--full",),
    "simulate": ("--rows", "5000000"),
    "targets": ("--targets", "100", "1000", "10000", "100000", "--interval", "120", "--ticks", "1"),
}
"""What makes a benchmark full where it is not so by itself."""


def main() -> int:
    """Run the benchmarks; 1 where one failed."""
    found = sorted(
        file.stem.removeprefix("bench_") for file in Path(__file__).parent.glob("bench_*.py")
    )
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(found))
    parser.add_argument("--full", action="store_true", help="at the sizes of docs/performance.md")
    parser.add_argument(
        "--json", type=Path, metavar="DIR", default=ROOT / "build" / "benchmarks",
        help="write <DIR>/<name>.json and <DIR>/cost.svg (build/benchmarks)",
    )  # fmt: skip
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(found))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(found)}")
    failed = []
    options.json.mkdir(parents=True, exist_ok=True)
    for name in options.names or found:
        arguments = [*(FULL if options.full else SHORT).get(name, ())]
        arguments += ["--json", str(options.json / f"{name}.json")]
        print(f"== {name} {' '.join(arguments)}", flush=True)
        command = [sys.executable, "-m", f"tests.benchmarks.bench_{name}", *arguments]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if draw_cost(options.json, picture := options.json / "cost.svg"):
        print(f"cost against work is drawn in {picture}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
