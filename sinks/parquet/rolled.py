"""Parquet files of a streaming job: rows wait in a segment log until a file is full.

A segment's number is its files' sequence number. Files appear by one rename each; a restart sees
by the position in their metadata that they hold what its state says.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from operators.schema.clock import wall_clock
from sinks.events import SamplesPublished, count_by_origin
from sinks.job import JobContext
from sinks.parquet.files import SampleFiles
from sinks.parquet.partitions import FIRST, ParquetSink, log
from sinks.parquet.retention import Retention
from sinks.parquet.settings import NAME, ParquetSettings
from sinks.rolled.owner import Owner
from sinks.rolled.partition import RolledPartition, Rolling
from sinks.rolled.publisher import LOOK_EVERY, Publisher
from sinks.rolled.waiting import RolledState, Sealed, Waiting, position_text
from sinks.segments import Position


class RolledParquet(ParquetSink):
    """Publishes files by `settings.roll`: when they have enough rows, or their first is old.

    Rows wait in a folder of the job's state, and are found again after a restart. `clock` gives milliseconds since the Unix epoch. Every
    `look_every` seconds partitions to which nothing is written are looked at; None is never. The
    first file of each partition comes `soon`.
    """

    def __init__(
        self,
        settings: ParquetSettings,
        job: JobContext,
        clock: Callable[[], int] = wall_clock,
        look_every: float | None = LOOK_EVERY,
        soon: bool = True,
    ) -> None:
        super().__init__(settings, job.parts(NAME), job.run, job.metadata)
        self._owner = partial(Owner, job.build, store=job.recovery)
        self._waiting = partial(Waiting, directory=job.state / NAME, fsync=settings.fsync)
        self._listener = job.listener
        store = self._context.store
        self._background = Publisher(self._publish, look_every, side_by_side=store.slots)
        rolling = Rolling(
            NAME,
            settings.roll,
            self._background,
            clock,
            soon=soon,
            after_snapshot=Retention(store, settings.keep, clock, self._background.submit).look,
        )
        self._partition = partial(RolledPartition, rolling, job)

    def build_part(
        self, step_id: str, for_part: str, resume_state: RolledState | None
    ) -> RolledPartition:
        """Go on exactly where the stored state says; rows that came after it come again.

        Without state nothing of this partition was ever stored: what is there is deleted. But
        where the recovery store was lost, the rows that wait are published at once, files are kept,
        and numbers go on after them.

        Raises:
            ForeignRowsError: rows wait that another step wrote.
        """
        waiting = self._waiting(for_part)
        owner = self._owner(step_id)
        before = waiting.owner(owner, stored=resume_state is not None)
        if resume_state is None:
            lost = before is not None and before.store != owner.store
            if lost and (left := waiting.everything()):
                log.warning(
                    "recovery store lost, rows that waited are published", partition=for_part
                )
                self._publish(left)
                self.forget_found()
            waiting.begin(self._first_segment(for_part, before, lost=lost), owner)
        else:
            sealed = [Position(*end) for end in resume_state[4]]
            published = self._published(for_part, sealed)
            whole = self._is_whole(for_part, Position(*resume_state[1]))
            waiting.resume(resume_state, whole, published=published)
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
            counts: Counter[str] = Counter()
            for batch in sealed.batches():
                files.write(batch)
                counts.update(count_by_origin([batch]))
            files.finish(position_text(sealed.end))
            files.publish()
            self._listener(SamplesPublished(NAME, dict(counts)))

    def _is_whole(self, part: str, end: Position) -> bool | None:
        """Whether all files of the segment that ends there are published; None where none is.

        Other files that were published since then are deleted: their rows come again.
        """
        files = self.left_behind(part, end.segment)
        here = [left for left in files if left.position == position_text(end)]
        self.delete([left.file for left in files if left not in here])
        return len(here) == here[0].siblings if here else None

    def _published(self, part: str, sealed: Sequence[Position]) -> set[int]:
        """The sealed segments whose files were all published after the state was stored, oldest first."""
        if not sealed:
            return set()
        files = self.left_behind(part, min(end.segment for end in sealed))
        published = set()
        for end in sealed:
            here = [left for left in files if left.position == position_text(end)]
            if not here or len(here) != here[0].siblings:
                break
            published.add(end.segment)
        return published

    def _first_segment(self, part: str, before: Owner | None, *, lost: bool) -> int:
        """The number to begin with; files that were published since then are deleted."""
        files = [left.file for left in self.left_behind(part, FIRST)]
        last = max((file.sequence for file in files), default=FIRST - 1)
        # Where it is not known who wrote them, those after the first show a loss.
        if lost or (before is None and last > FIRST):
            if files:
                log.warning("recovery store lost, published files are kept", partition=part)
            return last + 1
        first = FIRST if before is None else before.first
        self.delete([file for file in files if file.sequence >= first])
        return first
