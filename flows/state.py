"""The state of a job on disk: its lock, its run id, the names it knew, its recovery store."""

import json
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytewax.recovery import RecoveryConfig, init_db_dir

from flows.errors import StateError
from flows.state_disk import no_room
from operators.schema.clock import utc_now
from operators.schema.logs import Log
from sinks.disk import PRIVATE, lock, make_private, replace_private

log = Log("mqpipe.state")

_RUN = re.compile(r"[\w.~-]+")
"""What can be a run's name: it becomes a part of files' names."""

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
            writer = self.recall("writer")
            if not store.exists():
                self.remember("writer", {**writer, "store": secrets.token_hex(8)})
                _create_recovery_store(store, partitions)
            elif "store" not in writer:
                # An earlier build did not tell one from another.
                self.remember("writer", {**writer, "store": secrets.token_hex(8)})
        return RecoveryConfig(str(store))

    @property
    def store(self) -> str:
        """Which recovery store it is, once there is one: of another one sinks have no snapshot."""
        return str(self.recall("writer").get("store", ""))

    def written_by(self, build: str, steps: Collection[str]) -> None:
        """Note that this build writes the state from now on, with these stateful steps.

        Raises:
            StateError: the state has steps that this build does not have: it would be lost.
        """
        with _one_at_a_time(self.path):
            writer = self.recall("writer")
            before = writer.get("steps", [])
            if not isinstance(before, list) or not _are_words(before):
                raise _damaged(self.path / "writer.json", "it has no list of steps")
            unknown = set(before) - set(steps)
            if unknown:
                raise StateError(
                    f"{self.path}: written by mqpipe {writer.get('build')}, whose steps "
                    f"{', '.join(sorted(unknown))} this one, {build}, does not have: what they "
                    "remember would be lost; go on with that one, or set another recovery.path"
                )
            known = {**writer, "build": build, "run": self.run, "steps": sorted(steps)}
            if known != writer:
                self.remember("writer", known)

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
            known = self.recall("partitions") or _stored_names(self.path / "recovery")
            if not all(isinstance(one, list) and _are_words(one) for one in known.values()):
                raise _damaged(self.path / "partitions.json", "it is no lists of names")
            before = frozenset(known.get(step, ()))
            self.remember("partitions", {**known, step: sorted(before | names)})
        return before - names

    def began(self, names: Collection[str], first: int) -> Mapping[str, int]:
        """With which tick (ms) each of these partitions began, on this recovery store.

        It is `first` of one that is new. Until its first snapshot is stored nothing else reports
        the ticks that it had before a kill, some of which may have been delivered.
        """
        with _one_at_a_time(self.path):
            known = self.recall("began")
            ticks = known.get("ticks", {}) if known.get("store") == self.store else {}
            if not isinstance(ticks, dict) or not all(type(t) is int for t in ticks.values()):
                raise _damaged(self.path / "began.json", "it has no ticks")
            now = {name: min(first, ticks.get(name, first)) for name in sorted(names)}
            if now != ticks:
                self.remember("began", {"store": self.store, "ticks": now})
        return now

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
            number = file.name.removeprefix("lock-")
            if not (number.isascii() and number.isdigit()):
                log.warning("stray file left alone", path=str(file))
            # A process of a cluster that was larger may not have ended yet.
            elif int(number) >= processes:
                with _locked(file):
                    pass
        with _one_at_a_time(path):
            run = _run_id(path / "run.json", read_document(path / "writer.json").get("run"))
        yield JobState(path, run)


def _run_id(document: Path, noted: Any) -> str:
    """The run whose state it is; `noted` is what `written_by` noted of it, if it did."""
    if not document.exists():
        write_atomically(document, json.dumps({"run": noted or new_run_id()}))
    run = read_document(document).get("run")
    if not isinstance(run, str) or not _RUN.fullmatch(run):
        raise _damaged(document, "it names no run")
    if noted not in (None, run):
        # Under another name everything that waits would be published once more.
        raise _damaged(document, f"it names {run}, and writer.json {noted}")
    return run


@contextmanager
def _locked(file: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a file's lock while the block runs.

    Raises:
        StateError: another process holds it (unless `wait`), or there can be no such file.
    """
    try:
        held = lock(file, wait=wait)
    except BlockingIOError as error:
        raise StateError(
            f"{file.parent}: another mqpipe uses this state; stop it, or set recovery.path"
        ) from error
    except OSError as error:
        raise _unusable(file.parent, error) from error
    try:
        yield
    finally:
        os.close(held)


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


def _stored_names(store: Path) -> dict[str, list[str]]:
    """Of each step the names that a recovery store has state of; nothing, where it is damaged."""
    names: dict[str, set[str]] = {}
    for part in store.glob("part-*.sqlite3"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(part, timeout=1)) as database:
            for step, key in database.execute("SELECT DISTINCT step_id, state_key FROM snaps"):
                names.setdefault(step.rpartition(".")[2], set()).add(key)
    return {step: sorted(keys) for step, keys in names.items()}


def new_run_id() -> str:
    """A name for a run, in the order of time: `20260131T101500-5f3a`."""
    return f"{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def read_document(path: Path) -> dict[str, Any]:
    """A small JSON document, or an empty one where there is none.

    Raises:
        StateError: it is none, or cannot be read.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise StateError(f"{path}: cannot be read: {error.strerror}") from error
    if not isinstance(document, dict):
        raise _damaged(path, "it is no JSON object")
    return document


_REMEDIES = {
    "run.json": (
        'write {"run": "<run>"} into it, where <run> is what the names of the newest Parquet files '
        "begin with, up to the second dash, or what else `run` was; or remove it where nothing is "
        "published yet"
    ),
    "partitions.json": ("remove it: it is made again from the recovery store"),
    "writer.json": "remove it where mqpipe was not upgraded since",
    "export.json": "begin the export again with --overwrite, in place of --resume",
    "replay.json": "remove this directory, and what the replay has written, and begin it again",
}


def _damaged(path: Path, reason: str) -> StateError:
    remedy = _REMEDIES.get(path.name, "remove it")
    return StateError(f"{path}: damaged: {reason}; restore it from a copy, or {remedy}")


def _are_words(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader sees the old or the new one."""
    try:
        replace_private(path, text)
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror}") from error
