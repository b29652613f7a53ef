"""Where a sink's spool lies, and whether it may be used."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from operators.schema.logs import Log
from sinks.disk import lock, make_private
from sinks.job import JobContext
from sinks.spool.errors import SpoolInUseError
from sinks.spool.settings import SpoolSettings
from sinks.spool.store import left_behind

BEFORE = Path("spool")
"""Where spools lay that no `spool.path` was given for, in the folder that a job was started in."""

_log = Log("mqpipe.sinks")


def default_place(state: Path) -> Path:
    """Where spools lie that no `spool.path` is given for, by the directory of the job's state."""
    return state / "spool"


def spool_of(settings: SpoolSettings, sink: str, job: JobContext) -> SpoolSettings:
    """The settings with the place where the sink's spool lies.

    That is the job's own; else `spool.path`; else below the job's state, to which one that lies
    where it lay before (`BEFORE`) is moved, unless someone uses it.

    Raises:
        OSError: there can be no such folder.
    """
    path = job.spools or settings.path
    if path is None:
        path = _with_the_state(default_place(job.state), sink)
    return settings.model_copy(update={"path": path})


def require_free(directory: Path) -> None:
    """Nothing, where no process uses a partition of this spool.

    Raises:
        SpoolInUseError: one does.
        OSError: it cannot be looked at.
    """
    with _locks_of(directory):
        pass


def _with_the_state(path: Path, sink: str) -> Path:
    old, new = BEFORE / sink, path / sink
    if not left_behind(old):
        return path
    if new.exists():
        _log.warning(
            "a spool lies where spools lay before; nobody delivers it: move what is in it to the "
            "spool that is used, while nothing runs",
            path=str(old.absolute()),
            used=str(new.absolute()),
        )
        return path
    try:
        make_private(path)
        with _locks_of(old):
            old.rename(new)
    except SpoolInUseError:
        _log.warning(
            "a spool lies where spools lay before, and another mqpipe delivers it; it stays",
            path=str(old.absolute()),
            used=str(new.absolute()),
        )
    except FileNotFoundError:
        pass  # another process of the cluster has moved it
    except OSError as error:
        _log.warning(
            "the spool stays where it lay before, for it cannot be moved to the state; set "
            "spool.path, or move it while nothing runs",
            path=str(old.absolute()),
            to=str(new.absolute()),
            cause=error.strerror,
        )
        return BEFORE
    else:
        _log.info("spool moved to the state", path=str(old.absolute()), to=str(new.absolute()))
    return path


@contextmanager
def _locks_of(directory: Path) -> Iterator[None]:
    """Hold the locks of all partitions that are there.

    Raises:
        SpoolInUseError: another process holds one.
    """
    with ExitStack() as held:
        for partition in left_behind(directory):
            try:
                held.callback(os.close, lock(partition / "lock"))
            except FileNotFoundError:
                continue  # delivered and removed meanwhile
            except BlockingIOError:
                raise SpoolInUseError(partition) from None
        yield
