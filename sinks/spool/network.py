"""A network sink: a destination with a spool before it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from sinks.delivery import Destination
from sinks.job import JobContext
from sinks.sink import OpenSink, Sink
from sinks.spool.settings import SpoolSettings

if TYPE_CHECKING:
    from sinks.redeliver import Redelivery


def network_sink(
    name: str,
    place: str,
    spool: SpoolSettings,
    destination: Callable[[JobContext], Destination],
    probe: Callable[[JobContext], str],
    size_of: Callable[[pa.RecordBatch], int] | None = None,
) -> Sink:
    """The sink that delivers to a destination; `name` is the destination's, for the rest see `Sink`."""

    def opened(job: JobContext) -> OpenSink:
        from sinks.spool.place import require_free, spool_of
        from sinks.spool.sink import SpooledSink

        placed = spool_of(spool, name, job)
        if job.processes == 1:  # those of a cluster share the partitions, and so the spool
            require_free(placed.directory_of(name))
        output = SpooledSink(destination(job), placed, job)
        return OpenSink(output, is_delivered=lambda: output.is_delivered)

    def again(job: JobContext) -> "Redelivery":
        from sinks.redeliver import redeliver
        from sinks.spool.place import spool_of

        return redeliver(destination(job), spool_of(spool, name, job), job)

    return Sink(name, place, opened, probe, size_of=size_of, spool=spool, redeliver=again)
