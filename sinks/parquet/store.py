"""Where Parquet files lie: a local directory or a folder of an object store, treated alike."""

import contextlib
import re
from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from operators.schema.names import file_part
from operators.schema.secrets import without_password
from sinks.disk import clear_errors, require_writable, sync_to_disk

OPEN = "_open"
"""Folder of files that are still being written. Readers pass over names that start with `_`."""

ANOMALIES = "_anomalies"
"""Folder of what describes simulated anomalies."""

ANOMALIES_FILE = f"{ANOMALIES}/anomalies.parquet"
"""The table of simulated anomalies: what a detector should find."""

LOCAL_SLOTS = 2
"""A local file is work for the processor, of which Python lets two threads do little more than one."""

REMOTE_SLOTS = 16
"""A file in an object store is mostly waiting for its answers."""

_PUBLISHED = re.compile(r"type=[^/]+/date=[^/]+/([^/]+)-(\d+)\.parquet")
_SAMPLES = re.compile(r"type=[^/]+/date=[^/]+/[^/]+\.parquet")
"""Files in the layout of samples, whoever wrote them."""
_UNPUBLISHED = re.compile(OPEN + r"/([^/]+)-(\d+)\.[a-z_]+\.[-\d]+\.tmp")


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file's name says: which run wrote it, for which partition, as which one."""

    run: str
    partition: str
    sequence: int

    def __str__(self) -> str:
        return f"{_prefix(self.run, self.partition)}-{self.sequence:06d}"

    def unpublished(self, label: str, date: str) -> str:
        """Path while it is written, relative to the store."""
        return f"{OPEN}/{self}.{label}.{date}.tmp"

    def published(self, label: str, date: str) -> str:
        """Path for readers, relative to the store; `label` names the entity type."""
        return f"type={label}/date={date}/{self}.parquet"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of ours that is there, published or not; `path` is relative to the store."""

    path: str
    sequence: int
    published: bool


class Store:
    """A folder of Parquet files.

    A file is written under `_open` and appears under its own name by one move, so no reader
    sees a part of it. In an object store the move is a copy on the server.

    Raises:
        ValueError: `path` is a URI that names no known kind of storage.
    """

    def __init__(self, path: str, fsync: bool = False) -> None:
        if "://" in path:
            try:
                self._fs, self._base = pafs.FileSystem.from_uri(path)
            except (ValueError, OSError) as error:
                raise ValueError(without_password(str(error))) from None
        else:
            self._fs, self._base = pafs.LocalFileSystem(), str(Path(path).absolute())
        self._base = self._base.rstrip("/")
        self._is_local = isinstance(self._fs, pafs.LocalFileSystem)
        self._fsync = fsync and self._is_local
        self.path = path

    @property
    def slots(self) -> int:
        """How many files are worth writing at a time, where a write waits for the store."""
        return LOCAL_SLOTS if self._is_local else REMOTE_SLOTS

    def require_folder(self) -> None:
        """Make a local folder, so that a job which could write nothing ends before it begins.

        An object store is not asked: it may be away for a while.

        Raises:
            UnwritableError: there cannot be one, or this user may not write to it.
        """
        if self._is_local:
            require_writable(Path(self._base), "samples")

    def create(self, path: str) -> pa.NativeFile:
        """A stream to a new file; one that is there is replaced."""
        with self.clear_errors():
            self._make_parent(path)
            return self._fs.open_output_stream(self._full(path))

    def move(self, source: str, target: str) -> None:
        """Make a finished file appear under its other name, replacing what is there."""
        with self.clear_errors():
            self._make_parent(target)
            if self._fsync:
                sync_to_disk(Path(self._full(source)))
            self._fs.move(self._full(source), self._full(target))
            if self._fsync:
                sync_to_disk(Path(self._full(target)).parent)

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is no error."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(self._full(path))

    def delete_folder_if_empty(self, path: str) -> None:
        """Delete a local folder without files; object stores have none."""
        if self._is_local:
            with contextlib.suppress(OSError):
                Path(self._full(path)).rmdir()

    def folders(self, path: str = "") -> list[str]:
        """Paths of the folders directly in a folder."""
        return [name for name, is_file in self._list(path) if not is_file]

    def files(self, path: str) -> list[str]:
        """Paths of the files directly in a folder."""
        return [name for name, is_file in self._list(path) if is_file]

    def files_of(self, run: str) -> dict[str, list[StoredFile]]:
        """All files of a run, by partition as it is written in names (`file_part`).

        Reads the whole folder, so call it once.
        """
        found: dict[str, list[StoredFile]] = defaultdict(list)
        prefix = f"{file_part(run)}-"
        for path, _ in self._list("", recursive=True):
            match = _PUBLISHED.fullmatch(path) or _UNPUBLISHED.fullmatch(path)
            if match and match[1].startswith(prefix):
                file = StoredFile(path, int(match[2]), not path.startswith(OPEN))
                found[match[1].removeprefix(prefix)].append(file)
        return found

    def probe(self) -> str:
        """Write a file and delete it again, so that what stands in the way shows; its words.

        Raises:
            OSError: it cannot be done.
        """
        name = f"{OPEN}/probe.tmp"
        with self.create(name) as stream:
            stream.write(b"mqpipe")
        self.delete(name)
        self.delete_folder_if_empty(OPEN)
        return "can be written"

    def write_table(self, table: pa.Table, path: str) -> None:
        """Write a whole file, which appears at once.

        Raises:
            DiskFullError: no room in the store.
        """
        draft = f"{OPEN}/{path.replace('/', '.')}.tmp"
        with self.create(draft) as stream, self.clear_errors():
            pq.write_table(table, stream, compression="zstd")
        self.move(draft, path)

    def size(self) -> int:
        """Bytes of all files of samples."""
        selector = pafs.FileSelector(self._base, recursive=True, allow_not_found=True)
        found = self._fs.get_file_info(selector)
        skip = len(self._base) + 1
        return sum(f.size for f in found if f.is_file and _PUBLISHED.fullmatch(f.path[skip:]))

    def parquet_files(self) -> list[str]:
        """Paths of all Parquet files that may hold samples, in the order of their names.

        What is not samples lies in folders that start with `_`; so does a Delta table's log,
        without which nobody can tell which of its files are in it.
        """
        paths = [path for path, is_file in self._list("", recursive=True) if is_file]
        tables = {path.partition("/_delta_log/")[0] for path in paths if "/_delta_log/" in path}
        return sorted(
            path
            for path in paths
            if path.endswith(".parquet")
            and not any(part.startswith(("_", ".")) for part in path.split("/"))
            and not any(path.startswith(f"{table}/") for table in tables)
        )

    def schema(self, path: str) -> pa.Schema:
        """The columns of a Parquet file.

        Raises:
            OSError, ValueError: it cannot be read, or is no Parquet file.
        """
        try:
            return pq.read_schema(self._full(path), filesystem=self._fs)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path} is no Parquet file, move it away ({error})") from error

    def values(self, path: str, column: str) -> list[object]:
        """The different values of a column of a Parquet file.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        table = pq.read_table(
            self._full(path), columns=[column], filesystem=self._fs, partitioning=None
        )
        values: list[object] = table.column(column).unique().to_pylist()
        return values

    def has_samples(self) -> bool:
        """Whether there are files in the layout of samples, whoever wrote them."""
        return any(_SAMPLES.fullmatch(path) for path, _ in self._list("", recursive=True))

    def clear(self) -> None:
        """Delete all samples and what describes them; other files stay."""
        for path, is_file in self._list("", recursive=True):
            ours = _SAMPLES.fullmatch(path) or path.startswith((f"{OPEN}/", f"{ANOMALIES}/"))
            if is_file and ours:
                self.delete(path)

    def metadata(self, path: str) -> dict[str, str]:
        """The key-value metadata of a published file."""
        raw = pq.read_metadata(self._full(path), filesystem=self._fs).metadata or {}
        return {k.decode(): v.decode() for k, v in raw.items() if k.startswith(b"mqpipe.")}

    def clear_errors(self) -> AbstractContextManager[None]:
        """Turn a full disk, or a folder that is gone or closed, into an error that says what to do.

        Raises:
            DiskFullError, UnwritableError: see there.
        """
        if self._is_local:
            return clear_errors(self._base, "samples")
        return contextlib.nullcontext()

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def _make_parent(self, path: str) -> None:
        if self._is_local:
            Path(self._full(path)).parent.mkdir(parents=True, exist_ok=True)

    def _list(self, path: str, recursive: bool = False) -> list[tuple[str, bool]]:
        selector = pafs.FileSelector(self._full(path), recursive=recursive, allow_not_found=True)
        skip = len(self._base) + 1
        return [(info.path[skip:], info.is_file) for info in self._fs.get_file_info(selector)]


def family_of(path: str) -> str | None:
    """What a published file's name says before its sequence number: its run and partition."""
    match = _PUBLISHED.fullmatch(path)
    return match and match[1]


def _prefix(run: str, partition: str) -> str:
    return f"{file_part(run)}-{file_part(partition)}"
