"""A small dataflow into Parquet files or Delta tables, run as its own process by the crash tests.

`python -m tests.crash.files_flow DIRECTORY KIND [--more BATCHES] [--kill-at POINT COUNT]
[--cluster ADDRESSES PROCESS]` numbers rows in two partitions and goes on where the recovery store
says. With a POINT it kills itself at the COUNTth time that it gets there: `append`, `flush`,
`create`, `move`, `moved` or `finish`; with Delta tables `commit` or `committed`.
"""

from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from sinks.deltalake.rolled import RolledDelta
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.deltalake.tables import DeltaTables
from sinks.parquet.direct import DirectParquet
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from sinks.parquet.store import Store
from sinks.rolled.publisher import Publisher
from sinks.rolled.settings import RollSettings
from sinks.segments import SegmentLog
from tests.crash.flow_processes import job_arguments, kill_in, run
from tests.crash.numbers import PARTS, NumberSource
from tests.sink_jobs import job_in

POINTS: dict[str, tuple[type, str]] = {
    "append": (SegmentLog, "append"),
    "flush": (SegmentLog, "flush"),
    "create": (Store, "create"),
    "move": (Store, "move"),
    "moved": (Store, "move"),
    "commit": (DeltaTables, "_append"),
    "committed": (DeltaTables, "_append"),
    "finish": (Publisher, "finish"),
}
"""Where a job may kill itself: before a method, or after it where the point is its past."""


def _sink(kind: str, directory: Path) -> RolledParquet | RolledDelta | DirectParquet:
    path, roll = str(directory / "samples"), RollSettings(rows=300)
    if kind == "direct":
        return DirectParquet(ParquetSettings(path=path), PARTS, "run")
    job = job_in(directory / "waiting", parts=lambda _: PARTS)
    if kind == "delta":
        settings = DeltaLakeSettings(path=path, roll=roll)
        return RolledDelta(settings, job)
    return RolledParquet(ParquetSettings(path=path, roll=roll), job)


def main() -> None:
    """Run until all batches are published."""
    parser = job_arguments(__doc__)
    parser.add_argument("kind", choices=["rolled", "direct", "delta"])
    arguments = parser.parse_args()
    if arguments.kill_at:
        point, count = arguments.kill_at
        place, method = POINTS[point]
        kill_in(place, method, int(count), before=not point.endswith("ed"))
    flow = Dataflow("crash")
    stream = op.input("numbers", flow, NumberSource(arguments.more))
    sink = _sink(arguments.kind, arguments.directory)
    op.output("files", stream, sink)
    run(flow, arguments.directory, arguments.cluster)
    if not isinstance(sink, DirectParquet):
        sink.finish()


if __name__ == "__main__":
    main()
