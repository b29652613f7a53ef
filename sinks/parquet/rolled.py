"""Parquet files of a streaming job: rows wait in a segment log until a file is full.

A segment's number is its files' sequence number. Files appear by one rename each; a restart sees
by the position in their metadata that they hold what its state says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from sinks.events import Listener, nobody
from sinks.parquet.files import SampleFiles
from sinks.parquet.partitions import FIRST, ParquetSink, log
from sinks.parquet.retention import Retention
from sinks.parquet.settings import ParquetSettings
from sinks.rolled.background import LOOK_EVERY, Background, now_ms
from sinks.rolled.partition import RolledPartition
from sinks.rolled.waiting import Sealed, State, Waiting, position_text
from sinks.segments import Position


class RolledParquet(ParquetSink):
    """Publishes files by `settings.roll`: when they have enough rows, or their first is old.

    `directory` is where rows wait; it belongs to the job's state and is found again after a
    restart. `run` is part of every file's name, `metadata` of every file's key-value metadata;
    see `ParquetSink` for `parts`. `clock` gives milliseconds since the Unix epoch. Every
    `look_every` seconds partitions to which nothing is written are looked at; None is never.
    """

    def __init__(
        self,
        settings: ParquetSettings,
        parts: Iterable[str],
        run: str,
        directory: Path,
        metadata: Mapping[str, str] | None = None,
        listener: Listener = nobody,
        clock: Callable[[], int] = now_ms,
        look_every: float | None = LOOK_EVERY,
    ) -> None:
        super().__init__(settings, parts, run, metadata or {})
        self._waiting = partial(Waiting, directory=directory, fsync=settings.fsync)
        store = self._context.store
        self._background = Background(self._publish, look_every, side_by_side=store.slots)
        self._partition = partial(
            RolledPartition,
            "parquet",
            settings.roll,
            self._background,
            listener,
            clock,
            after_snapshot=Retention(store, settings.keep, clock, self._background.submit).look,
        )

    def build_part(
        self, step_id: str, for_part: str, resume_state: State | None
    ) -> RolledPartition:
        """Go on exactly where the stored state says; rows that came after it come again.

        Without state nothing of this partition was ever stored: what is there is deleted. But
        where there are files after the first, the recovery store was lost: they are kept, and
        numbers go on after them.
        """
        waiting = self._waiting(for_part)
        if resume_state is None:
            waiting.begin(self._first_segment(for_part))
        else:
            waiting.resume(resume_state, self._is_whole(for_part, Position(*resume_state[1])))
        return self._partition(waiting)

    def finish(self) -> None:
        """Publish all that waits in this process, once the engine has ended well.

        Raises:
            DiskFullError: no room in the store.
            OSError: the store failed. What is not published stays in the log.
        """
        self._background.finish()

    def _publish(self, segments: Sequence[Sealed]) -> None:
        """Write and publish the files of each segment; again does no harm.

        Raises:
            DiskFullError: no room in the store.
            OSError: the store failed.
        """
        for sealed in segments:
            files = SampleFiles(self._context, sealed.part, sealed.end.segment)
            for batch in sealed.batches():
                files.write(batch)
            files.finish(position_text(sealed.end))
            files.publish()

    def _is_whole(self, part: str, end: Position) -> bool | None:
        """Whether all files of the segment that ends there are published; None where none is.

        Other files that were published since then are deleted: their rows come again.
        """
        files = self.left_behind(part, end.segment)
        here = [left for left in files if left.position == position_text(end)]
        self.delete([left.file for left in files if left not in here])
        return len(here) == here[0].siblings if here else None

    def _first_segment(self, part: str) -> int:
        files = [left.file for left in self.left_behind(part, FIRST)]
        last = max((file.sequence for file in files), default=FIRST)
        if last > FIRST:
            log.warning("recovery store lost, published files are kept", partition=part)
            return last + 1
        self.delete(files)
        return FIRST
