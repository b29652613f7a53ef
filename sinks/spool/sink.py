"""The Bytewax sink that hands samples to a spool: the same for every network sink.

`write_batch` appends to a segment log, `snapshot` releases what was appended and says how far
that is, and a sender in the background delivers what is released. So an outage is only a longer
log, a restart goes on where the last one was, and no snapshot ever waits for the network.

Delivery guarantee: at least once. What lies beyond the last snapshot is dropped at a restart,
for the dataflow makes it again; what was under way at a crash is sent again.
Unit of parallelism: `PARTITIONS` partitions, each a spool of its own.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias
from zlib import crc32

import pyarrow as pa
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from operators.schema.logs import Log
from sinks.delivery import Destination
from sinks.events import SamplesWritten, SpoolDepth, by_origin
from sinks.job import JobContext
from sinks.segments import DEFAULT_SEGMENT_BYTES
from sinks.spool.sender import ADOPT_AFTER, Sender
from sinks.spool.settings import SpoolSettings
from sinks.spool.store import Spool, SpoolState

PARTITIONS = 4
"""Fixed for ever: a key's partition is its checksum modulo this."""

_SEGMENTS = 16
"""A spool is made of at least so many segments, for room comes back by whole segments."""

_POLL = 0.05
"""Seconds after which a full spool is looked at again."""


class Running(Protocol):
    """What a partition's samples go through, one batch after the other, on their way to its spool.

    Its state is part of the partition's snapshots.
    """

    def add(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch that is written."""

    def state(self) -> Mapping[str, bytes]:
        """What a restart needs to go on."""

    def resume(self, state: Mapping[str, bytes]) -> None:
        """Go on from a state."""


StoredSpoolState: TypeAlias = SpoolState | tuple[str, int, int, Mapping[str, bytes]]
"""How far samples are released, and the state of what they go through where there is such."""


class SpooledSink(FixedPartitionedSink[pa.RecordBatch, StoredSpoolState]):
    """Writes `(cluster_name, batch)` to spools that a sender delivers. One a process.

    The spools lie in `<settings.path>/<destination's name>`, one directory a partition.
    `adopt_after` seconds after the start those that no one uses are looked for. `running` makes
    what each partition's samples go through first.
    """

    def __init__(
        self,
        destination: Destination,
        settings: SpoolSettings,
        job: JobContext,
        adopt_after: float = ADOPT_AFTER,
        running: Callable[[], Running] | None = None,
    ) -> None:
        self.name = destination.name
        self.settings = settings
        self.job = job
        self._directory = settings.directory_of(destination.name)
        self.sender = Sender(destination, job, self._directory, adopt_after)
        self._running = running
        self._spools: dict[str, Spool] = {}

    def list_parts(self) -> list[str]:
        """The partitions' names."""
        return [f"spool-{number}" for number in range(PARTITIONS)]

    def part_fn(self, item_key: str) -> int:
        """The same for a key in every process."""
        return crc32(item_key.encode())

    def build_part(
        self, step_id: str, for_part: str, resume_state: StoredSpoolState | None
    ) -> "_SpoolPartition":
        """A partition that goes on after the snapshot.

        Raises:
            SpoolInUseError: another process delivers this spool.
            OSError: its directory cannot be used.
        """
        segment_bytes = min(DEFAULT_SEGMENT_BYTES, self.settings.size // _SEGMENTS)
        spool = Spool(self._directory / for_part, segment_bytes)
        running = None if self._running is None else self._running()
        if resume_state is not None:
            position, passed = resume_state[:3], resume_state[3:]
            spool.resume(position)
            if running is not None and passed:
                running.resume(passed[0])
        self._spools[for_part] = spool
        self.sender.add(spool)
        return _SpoolPartition(self, spool, running)

    @property
    def disk_bytes(self) -> int:
        """What this process's partitions take on disk."""
        return sum(spool.disk_bytes for spool in list(self._spools.values()))

    @property
    def is_delivered(self) -> bool:
        """Whether nothing that this process's partitions released waits."""
        return all(spool.is_delivered for spool in list(self._spools.values()))

    def release(self) -> None:
        """Let all that this process's partitions wrote be delivered."""
        for spool in list(self._spools.values()):
            spool.release()
            self.sender.wake(spool)


class _SpoolPartition(StatefulSinkPartition[pa.RecordBatch, StoredSpoolState]):
    def __init__(self, sink: SpooledSink, spool: Spool, running: Running | None) -> None:
        self._sink = sink
        self._spool = spool
        self._running = running
        self._log = Log("mqpipe.sinks").bind(sink=sink.name, partition=spool.name)

    def write_batch(self, values: list[pa.RecordBatch]) -> None:
        for batch in values:
            if batch.num_rows:
                self._make_room()
                self._spool.append(batch if self._running is None else self._running.add(batch))
        counts, ticks = by_origin(values)
        self._sink.job.listener(SamplesWritten(self._sink.name, counts, ticks))

    def snapshot(self) -> StoredSpoolState:
        self._release()
        spool = self._spool
        self._report_depth()
        if self._running is None:
            return spool.state
        return (*spool.state, self._running.state())

    def close(self) -> None:
        self._release()
        self._log.info("delivering what is left", unsent_bytes=self._spool.unsent_bytes)
        if not self._sink.sender.finish(self._spool, self._sink.job.grace_left):
            self._log.warning(
                "not everything could be delivered; what waits in the spool is sent at the next "
                "start",
                unsent_bytes=self._spool.unsent_bytes,
            )
        self._report_depth()

    def _report_depth(self) -> None:
        spool = self._spool
        depth = SpoolDepth(self._sink.name, spool.name, spool.unsent_bytes, spool.disk_bytes)
        self._sink.job.listener(depth)

    def _release(self) -> None:
        self._spool.release()
        self._sink.sender.wake(self._spool)

    def _make_room(self) -> None:
        """At the size limit, do as the settings say; this is where a full spool blocks."""
        settings = self._sink.settings
        evicts = settings.full == "oldest_to_dead_letters"
        if evicts and self._sink.disk_bytes >= settings.size * (1 - 1 / _SEGMENTS):
            self._sink.sender.evict()
        if self._sink.disk_bytes < settings.size:
            return
        self._log.warning("the spool is full", size_bytes=settings.size, policy=settings.full)
        while self._sink.disk_bytes >= settings.size:
            # What no snapshot covers yet must be delivered too, and that of other partitions,
            # whose snapshots wait for this one: or room might never come.
            self._sink.release()
            if evicts:
                self._sink.sender.evict()
            time.sleep(_POLL)
