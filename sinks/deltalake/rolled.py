"""The Bytewax sink of Delta tables: rows wait in a segment log until they are committed together.

A segment is committed when the engine has certainly stored that it is sealed: what a table shows
is never taken back.
"""

from collections.abc import Callable
from functools import cached_property, partial

from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from sinks.deltalake.settings import NAME, DeltaLakeSettings
from sinks.deltalake.tables import DeltaTables
from sinks.events import SamplesPublished, count_by_origin
from sinks.job import JobContext
from sinks.partitioned import PartitionedSink
from sinks.rolled.owner import Owner
from sinks.rolled.partition import RolledPartition, Rolling
from sinks.rolled.publisher import LOOK_EVERY, Publisher
from sinks.rolled.waiting import RolledState, Waiting

log = Log("mqpipe.deltalake")


class RolledDelta(PartitionedSink):
    """Commits by `settings.roll`.

    The job's `run` names it in the tables' transactions; see `RolledParquet` for the rest.

    Raises:
        UnwritableError: the directory cannot be written to.
    """

    def __init__(
        self,
        settings: DeltaLakeSettings,
        job: JobContext,
        clock: Callable[[], int] = wall_clock,
        look_every: float | None = LOOK_EVERY,
        soon: bool = True,
    ) -> None:
        super().__init__(job.parts(NAME))
        self._tables = DeltaTables(
            settings.path,
            job.run,
            lambda batches: job.listener(SamplesPublished(NAME, count_by_origin(batches))),
        )
        self._tables.require_folder()
        self._owner = partial(Owner, job.build, store=job.recovery)
        self._waiting = partial(Waiting, directory=job.state / NAME)
        self._background = Publisher(self._tables.commit, look_every, together=True)
        rolling = Rolling(NAME, settings.roll, self._background, clock, final=True, soon=soon)
        self._partition = partial(RolledPartition, rolling, job)

    def build_part(
        self, step_id: str, for_part: str, resume_state: RolledState | None
    ) -> RolledPartition:
        """Go on exactly where the stored state says; rows that came after it come again.

        Where the tables have more than the state knows of, since the recovery store was lost
        or is an older one, its rows stay, and numbers go on after them.

        Raises:
            DeltaTableError: a table cannot be read.
            ForeignRowsError: rows wait that another step wrote.
        """
        waiting = self._waiting(for_part)
        last = self._last_committed[for_part]
        owner = self._owner(step_id)
        before = waiting.owner(owner, stored=resume_state is not None)
        if resume_state is None:
            if last >= 0:
                log.info("begins anew, its committed rows are kept", partition=for_part)
            left = [sealed for sealed in waiting.everything() if sealed.end.segment > last]
            if left and before is not None and before.store != owner.store:
                log.warning(
                    "recovery store lost, rows that waited are committed", partition=for_part
                )
                self._tables.commit(left)
                last = left[-1].end.segment
            waiting.begin(last + 1, owner)
        else:
            segment = resume_state[1][0]
            if last > segment:
                log.warning("recovery store is an older one: rows may repeat", partition=for_part)
            waiting.resume(resume_state, None if last < segment else False, last + 1)
        return self._partition(waiting)

    @cached_property
    def _last_committed(self) -> dict[str, int]:
        """The last segment of each partition that any table has; asked for when the engine runs.

        Earlier, a process of the cluster before might still be committing its last ones.
        """
        return self._tables.last_committed(self.list_parts())

    def finish(self) -> None:
        """Commit all that waits in this process, once the engine has ended well.

        Raises:
            DiskFullError, UnwritableError, DeltaTableError: the tables cannot be written. What
                is not committed stays in the log.
        """
        self._background.finish()
