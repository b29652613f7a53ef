"""What recovery costs: the same export with a recovery store and without, by length of epoch.

In both each epoch ends its files, so the difference is the store alone: snapshots pickled and
written to SQLite. Start-up is subtracted; rounds alternate; medians of processor seconds count.

    python -m tests.benchmarks.bench_recovery [--ticks 240] [--rounds 3] [--json FILE]
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.child_costs import ROOT, Spent, spent
from tests.benchmarks.options import keep, parser_of

EPOCHS = (5.0, 1.0, 0.2)


def run(ticks: int, epoch: float, *, store: bool) -> Spent:
    """An export in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="mqpipe-bench-") as name:
        options = ["--folder", name, "--ticks", str(ticks), "--epoch", str(epoch)]
        command = [sys.executable, "-m", "tests.benchmarks.export_process", *options]
        return spent([*command, *(["--store"] if store else [])], Path(name), ROOT)


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--ticks", type=int, default=240)
    options = parser.parse_args()
    rows = []
    print(f"{'epoch, s':>8} {'without, CPU s':>14} {'with, CPU s':>12} {'costs':>7}")
    for epoch in EPOCHS:
        pairs = []
        for _ in range(options.rounds):
            without, with_store = (
                run(options.ticks, epoch, store=store).beyond(run(1, epoch, store=store)).cpu
                for store in (False, True)
            )
            pairs.append((without, with_store))
        row = {
            "epoch_seconds": epoch,
            "cpu_seconds_without": median(pair[0] for pair in pairs),
            "cpu_seconds_with": median(pair[1] for pair in pairs),
            "ratio": median(pair[1] / pair[0] for pair in pairs),
        }
        rows.append(row)
        print(f"{epoch:>8} {row['cpu_seconds_without']:>14.2f} {row['cpu_seconds_with']:>12.2f} "
              f"{row['ratio'] - 1:>7.1%}", flush=True)  # fmt: skip
    keep(rows, options.json)


if __name__ == "__main__":
    main()
