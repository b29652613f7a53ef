"""The Bytewax sink of Delta tables: rows wait in a segment log until they are committed together.

A segment is committed when the engine has stored that it is sealed, and at the end of a job when
the engine has ended: what a table shows is never made again. Nothing else tells for certain that
the engine has stored a snapshot, so the rows of a partition to which nothing more is written wait
for the end of the job.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from sinks.deltalake.settings import DeltaLakeSettings
from sinks.deltalake.tables import DeltaTables
from sinks.events import Listener, nobody
from sinks.partitioned import PartitionedSink, file_part
from sinks.rolled import Background, RolledPartition, State, Waiting, now_ms
from sinks.segments import SegmentLog

log = structlog.get_logger("mqpipe.deltalake")


class RolledDelta(PartitionedSink):
    """Commits by `settings.roll`; see `PartitionedSink` for `parts`.

    `run` names the job in the tables' transactions. `directory` is where rows wait; it belongs
    to the job's state and is found again after a restart. `clock` gives milliseconds since the
    Unix epoch.

    Raises:
        UnwritableError: the directory cannot be written to.
        DeltaTableError: a table cannot be read.
    """

    def __init__(
        self,
        settings: DeltaLakeSettings,
        parts: Sequence[str],
        run: str,
        directory: Path,
        listener: Listener = nobody,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        super().__init__(parts)
        self._settings = settings
        self._directory = directory
        self._listener = listener
        self._clock = clock
        tables = DeltaTables(settings.path, run)
        tables.require_folder()
        self._last_committed = tables.last_committed(self.list_parts())
        self._background = Background(tables.commit, None, together=True)

    def build_part(
        self, step_id: str, for_part: str, resume_state: State | None
    ) -> RolledPartition:
        """Go on exactly where the stored state says; rows that came after it come again.

        Where the tables have more than the state can tell of, since the recovery store was lost
        or is an older one, its rows stay, and numbers go on after them.
        """
        waiting = Waiting(for_part, SegmentLog(self._directory / file_part(for_part), sys.maxsize))
        last = self._last_committed[for_part]
        if resume_state is None:
            if last >= 0:
                log.info("begins anew, its committed rows are kept", partition=for_part)
            waiting.begin(last + 1)
        else:
            segment = resume_state[1][0]
            if last > segment:
                log.warning("recovery store is an older one: rows may repeat", partition=for_part)
            waiting.resume(resume_state, None if last < segment else False, last + 1)
        return RolledPartition(
            "deltalake",
            for_part,
            waiting,
            self._settings.roll,
            self._background,
            self._listener,
            self._clock,
        )

    def finish(self) -> None:
        """Commit all that waits in this process, once the engine has ended well.

        Raises:
            DiskFullError, UnwritableError, DeltaTableError: the tables cannot be written. What
                is not committed stays in the log.
        """
        self._background.finish()
