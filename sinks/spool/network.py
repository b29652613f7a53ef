"""A network sink: a destination with a spool before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from operators.schema.arrow import Only
from sinks.delivery import Destination
from sinks.job import JobContext
from sinks.sink import OpenSink, PoolEventOffer, ReadableTopic, SampleLog, Sink, Size
from sinks.spool.settings import SpoolSettings

if TYPE_CHECKING:
    from sinks.redeliver import Redelivery
    from sinks.spool.sink import Running


@dataclass(frozen=True, slots=True)
class NetworkSink:
    """What a network sink has of its own; for what is not said here see `Sink`."""

    name: str
    """Of the destination too."""
    place: str
    spool: SpoolSettings
    destination: Callable[[JobContext], Destination]
    """Makes what delivers."""
    probe: Callable[[JobContext], str]
    size_of: Callable[[pa.RecordBatch], int] | None = None
    shapes: Mapping[str, Callable[[pa.RecordBatch], Size]] = field(default_factory=dict)
    running: "Callable[[JobContext], Running] | None" = None
    """Makes what each partition's samples go through before they are written to the spool."""
    readable: ReadableTopic | None = None
    require: Callable[[], object] = lambda: None
    takes_only: frozenset[Only] = frozenset()
    pool_events: PoolEventOffer | None = None


def network_sink(described: NetworkSink) -> Sink:
    """The sink that delivers to a destination."""
    name, spool, destination = described.name, described.spool, described.destination

    def opened(job: JobContext) -> OpenSink:
        from sinks.spool.place import require_free, spool_of
        from sinks.spool.sink import SpooledSink

        placed = spool_of(spool, name, job)
        if job.processes == 1:  # those of a cluster share the partitions, and so the spool
            require_free(placed.directory_of(name))
        each = None if described.running is None else partial(described.running, job)
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
        described.place,
        opened,
        described.probe,
        size_of=described.size_of,
        shapes=described.shapes,
        log=log,
        readable=described.readable,
        require=described.require,
        takes_only=described.takes_only,
        spool=spool,
        pool_events=described.pool_events,
        redeliver=again,
    )
