"""The state of a job on disk: its lock, its run id, the names it knew, its recovery store."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bytewax.recovery import RecoveryConfig, init_db_dir

from flows.errors import StateError
from flows.room import no_room
from sinks.disk import PRIVATE, make_private, write_private

RECOVERY_PARTITIONS = 8
"""Fixed for the life of a store, whatever the number of workers."""


@dataclass(frozen=True, slots=True)
class JobState:
    """A job's state directory, which the processes of a cluster share.

    `run` is part of its files' names.
    """

    path: Path
    run: str

    def recovery(self, partitions: int = RECOVERY_PARTITIONS) -> RecoveryConfig:
        """The recovery store, created in so many partitions where there is none.

        Raises:
            StateError: the store cannot be made.
        """
        store = self.path / "recovery"
        with _one_at_a_time(self.path):
            if not store.exists():
                _create_recovery_store(store, partitions)
        return RecoveryConfig(str(store))

    def remember(self, name: str, values: Mapping[str, Any]) -> None:
        """Keep a small document beside the state, replaced as a whole."""
        write_atomically(self.path / f"{name}.json", json.dumps(values, indent=1))

    def recall(self, name: str) -> dict[str, Any]:
        """What `remember` kept, or nothing."""
        return read_document(self.path / f"{name}.json")

    def retired(self, step: str, names: frozenset[str]) -> frozenset[str]:
        """The partitions of a step that earlier runs had and this one has not.

        Notes the present ones for the next start: Bytewax panics at a start where a stored
        partition is not listed.
        """
        with _one_at_a_time(self.path):
            known = self.recall("partitions")
            before = frozenset(known.get(step, ()))
            self.remember("partitions", {**known, step: sorted(before | names)})
        return before - names

    def forget(self) -> None:
        """Remove the recovery store and the sinks' working files; documents stay."""
        for folder in self.path.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder)


@contextmanager
def hold(path: Path, process_id: int = 0, processes: int = 1) -> Iterator[JobState]:
    """A job's state directory, created and locked for this process while the block runs.

    Raises:
        StateError: another live job holds it, it cannot be written, or its disk is nearly full.
    """
    try:
        make_private(path)
    except OSError as error:
        raise _unusable(path, error) from error
    if full := no_room(path):
        raise StateError(full)
    with _locked(path / f"lock-{process_id}"):
        for file in path.glob("lock-*"):
            # A process of a cluster that was larger may not have ended yet.
            if int(file.name.removeprefix("lock-")) >= processes:
                with _locked(file):
                    pass
        with _one_at_a_time(path):
            document = path / "run.json"
            run = read_document(document).get("run")
            if run is None:
                run = new_run_id()
                write_atomically(document, json.dumps({"run": run}))
        yield JobState(path, run)


@contextmanager
def _locked(file: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a file's lock while the block runs.

    Raises:
        StateError: another process holds it (unless `wait`), or there can be no such file.
    """
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise _unusable(file.parent, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            raise StateError(
                f"{file.parent}: another mqpipe uses this state; stop it, or set recovery.path"
            ) from error
        yield
    finally:
        os.close(lock)


def _unusable(path: Path, error: OSError) -> StateError:
    return StateError(
        f"{path}: cannot keep state here: {error.strerror}; let this user write to it, or set "
        "recovery.path"
    )


def _one_at_a_time(path: Path) -> AbstractContextManager[None]:
    """What the processes of a cluster do to their shared state, each after the other."""
    return _locked(path / "lock", wait=True)


def _create_recovery_store(store: Path, partitions: int) -> None:
    # Made elsewhere and renamed: a store with some of its partitions cannot be used.
    draft = store.with_name(f".{store.name}.{os.getpid()}")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        make_private(draft)
        init_db_dir(draft, partitions)
        for file in draft.iterdir():
            file.chmod(PRIVATE)  # what SQLite makes beside it will be alike
        draft.rename(store)
    except OSError as error:
        raise StateError(f"{store}: cannot make the recovery store: {error}") from error


def new_run_id() -> str:
    """A name for a run, in the order of time: `20260131T101500-5f3a`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def read_document(path: Path) -> dict[str, Any]:
    """A small JSON document, or an empty one where there is none."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StateError(f"{path}: damaged ({error}); remove the state to start anew") from error


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader sees the old or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_private(draft, text)
        draft.replace(path)
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror}") from error
