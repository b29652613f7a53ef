"""How long does a job of hundreds of clusters take to end?

`mqpipe run` simulates so many clusters and is asked to end when each has rows that no file holds
yet. Counted are the seconds from SIGTERM to the end of the process, the last snapshot and the
publishing of every cluster's files among them.

    python -m tests.benchmarks.bench_drain [--clusters 200] [--ticks 20] [--sink parquet]
        [--json FILE]
"""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import polars as pl
import yaml

from tests.benchmarks.child_costs import ROOT, SCRIPT
from tests.benchmarks.options import keep, parser_of

INTERVAL = 3.0


def configured(clusters: int, sink: str) -> str:
    """So many simulated clusters of 3 brokers, 10 topics and 5 groups; nothing rolls by itself."""
    return yaml.safe_dump(
        {
            "interval": INTERVAL,
            "simulation": {"fleets": [{"name": "sim", "clusters": clusters}]},
            "sinks": {sink: {"path": "samples", "roll": {"every": "1h"}}},
            "shutdown": {"grace": 300},
            "metrics": {"listen": None},
        }
    )


def drained(folder: Path, seconds: float) -> float:
    """Run `mqpipe` for so long, ask it to end, and return how many seconds that took."""
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(
            [SCRIPT, "run", "drain.yaml", "--no-live"],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            time.sleep(seconds)
            begin = time.monotonic()
            child.send_signal(signal.SIGTERM)
            code = child.wait(600)
        finally:
            child.kill()
    if code:
        raise RuntimeError(f"mqpipe ended with {code}:\n{(folder / 'log').read_text()[-4000:]}")
    return time.monotonic() - begin


def main() -> None:
    """Measure and print, or write as JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--ticks", type=int, default=20)
    parser.add_argument("--sink", choices=["parquet", "deltalake"], default="parquet")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "drain.yaml").write_text(configured(options.clusters, options.sink))
        seconds = drained(folder, 5 + options.ticks * INTERVAL)
        files = sorted(folder.glob("samples/*/date=*/*.parquet"))
        rows = pl.scan_parquet(files, hive_partitioning=False, extra_columns="ignore",
                               missing_columns="insert").select(pl.len()).collect().item()  # fmt: skip
    figures = {
        "sink": options.sink,
        "clusters": options.clusters,
        "rows": rows,
        "files": len(files),
        "seconds": round(seconds, 2),
    }
    for name, value in figures.items():
        print(f"{name:<10} {value}")
    keep(figures, options.json)


if __name__ == "__main__":
    main()
