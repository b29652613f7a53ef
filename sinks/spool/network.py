"""A network sink: a destination with a spool before it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from operators.schema.arrow import Only
from sinks.delivery import Destination
from sinks.job import JobContext
from sinks.sink import OpenSink, ReadableTopic, SampleLog, Sink, Size
from sinks.spool.settings import SpoolSettings

if TYPE_CHECKING:
    from sinks.redeliver import Redelivery
    from sinks.spool.sink import Running


def network_sink(
    name: str,
    place: str,
    spool: SpoolSettings,
    destination: Callable[[JobContext], Destination],
    probe: Callable[[JobContext], str],
    size_of: Callable[[pa.RecordBatch], int] | None = None,
    running: "Callable[[JobContext], Running] | None" = None,
    shapes: Mapping[str, Callable[[pa.RecordBatch], Size]] | None = None,
    *,
    readable: ReadableTopic | None = None,
    require: Callable[[], object] = lambda: None,
    takes_only: frozenset[Only] = frozenset(),
) -> Sink:
    """The sink that delivers to a destination; `name` is the destination's, for the rest see `Sink`.

    `running` makes what each partition's samples go through before they are written to the spool.
    """

    def opened(job: JobContext) -> OpenSink:
        from sinks.spool.place import require_free, spool_of
        from sinks.spool.sink import SpooledSink

        placed = spool_of(spool, name, job)
        if job.processes == 1:  # those of a cluster share the partitions, and so the spool
            require_free(placed.directory_of(name))
        each = None if running is None else partial(running, job)
        output = SpooledSink(destination(job), placed, job, running=each)
        return OpenSink(output, is_delivered=lambda: output.is_delivered)

    def again(job: JobContext) -> "Redelivery":
        from sinks.redeliver import redeliver
        from sinks.spool.place import spool_of

        return redeliver(destination(job), spool_of(spool, name, job), job)

    def log(state: Path) -> SampleLog:
        from sinks.spool.place import default_place
        from sinks.spool.store import STAMP_BYTES

        return SampleLog((spool.path or default_place(state)) / name, STAMP_BYTES)

    return Sink(
        name,
        place,
        opened,
        probe,
        size_of=size_of,
        shapes=shapes or {},
        log=log,
        readable=readable,
        require=require,
        takes_only=takes_only,
        spool=spool,
        redeliver=again,
    )
