"""A small dataflow into Parquet, run as its own process by the crash tests.

`python -m tests.crash.parquet_flow DIRECTORY KIND [--more BATCHES] [--kill-at POINT COUNT]`
numbers rows in two partitions and goes on where the recovery store says. With a POINT it kills
itself at the COUNTth time that it gets there: `append`, `flush`, `create`, `move` or `moved`.
"""

from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from sinks.parquet import ParquetSettings, RolledParquet, StraightParquet
from sinks.parquet.store import Store
from sinks.rolled import RollSettings
from sinks.segments import SegmentLog
from tests.crash.jobs import job_arguments, kill_in, run
from tests.crash.numbers import PARTS, NumberSource


def _sink(kind: str, directory: Path) -> RolledParquet | StraightParquet:
    settings = ParquetSettings(path=str(directory / "samples"), roll=RollSettings(rows=300))
    if kind == "straight":
        return StraightParquet(settings, PARTS, "run")
    return RolledParquet(settings, PARTS, "run", directory / "waiting")


def main() -> None:
    """Run until all batches are published."""
    parser = job_arguments(__doc__)
    parser.add_argument("kind", choices=["rolled", "straight"])
    arguments = parser.parse_args()
    if arguments.kill_at:
        point, count = arguments.kill_at
        place = SegmentLog if point in ("append", "flush") else Store
        kill_in(place, "move" if point == "moved" else point, int(count), before=point != "moved")
    flow = Dataflow("crash")
    stream = op.input("numbers", flow, NumberSource(arguments.more))
    sink = _sink(arguments.kind, arguments.directory)
    op.output("parquet", stream, sink)
    run(flow, arguments.directory)
    if isinstance(sink, RolledParquet):
        sink.finish()


if __name__ == "__main__":
    main()
