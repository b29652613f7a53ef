"""The export's dataflow as a process for benchmarks, with what `mqpipe export` does not offer.

    python -m tests.benchmarks.export_process --folder DIR --ticks N [--epoch S] [--store] …

Without a recovery store, over several processes, or with every batch crossing to another worker.
"""

import argparse
from pathlib import Path

from flows.export import dataflow
from flows.runtime import Workers, execute
from flows.state import JobState
from operators.drain import Drain
from operators.fleets import FleetSource
from operators.schedule import Range
from operators.simulate.settings import SimulationSettings
from operators.simulate.spec import by_cluster
from sinks.parquet.direct import DirectParquet
from sinks.parquet.settings import ParquetSettings
from tests.benchmarks.bench_export import CLUSTERS, FLEET
from tests.samples import INTERVAL, NEW_YEAR


def main() -> None:
    """Run it to its end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ticks", type=int, required=True)
    parser.add_argument("--epoch", type=float, default=5.0, help="seconds")
    parser.add_argument("--store", action="store_true", help="with a recovery store")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--addresses", default="")
    parser.add_argument("--process-id", type=int, default=0)
    parser.add_argument("--clusters", type=int, default=CLUSTERS)
    parser.add_argument("--cross", action="store_true", help="each batch to another worker")
    options = parser.parse_args()
    fleet = {**FLEET, "clusters": options.clusters}
    shards = by_cluster(SimulationSettings.model_validate({"seed": 1, "fleets": [fleet]}))
    drain = Drain(settle=0, epoch=options.epoch)
    fleets = FleetSource(
        shards, INTERVAL, Range(NEW_YEAR, NEW_YEAR + options.ticks * INTERVAL), drain
    )
    # One more partition before all others, and each of them is on the next worker.
    parts = ["", *shards] if options.cross else list(shards)
    files = DirectParquet(ParquetSettings(path=str(options.folder / "out")), parts, "bench")
    addresses = tuple(options.addresses.split(",")) if options.addresses else ()
    state = JobState(options.folder / "state", "bench")
    state.path.mkdir(parents=True, exist_ok=True)
    execute(
        dataflow(fleets, {"parquet": files}, lambda _rows: None),
        drain,
        Workers(options.threads, addresses, options.process_id),
        state.recovery() if options.store else None,
        25.0,
    )


if __name__ == "__main__":
    main()
