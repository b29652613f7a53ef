"""Dead letters: samples that a sink's other side did not take, kept in Parquet with the reason.

`<path>/type=<label>/<time>-<id>.parquet` holds the samples' own columns and, before them, the
columns of `LETTER`. Files are replaced as a whole: a reader never sees a partial one.
"""

import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from operators.schema.arrow import TIMESTAMP, Only, entity_type_of, only
from operators.schema.clock import utc_now, wall_seconds
from operators.schema.dictionaries import one_dictionary
from operators.schema.events import Listener, nobody
from operators.schema.ipc import decode, encode
from operators.schema.logs import Log
from operators.schema.unreadable import UnreadableMessage
from sinks.delivery import DeadLetter
from sinks.disk import clear_errors, make_private, open_private, replacing
from sinks.events import DeadLettersDropped, MessagesUnreadable
from sinks.settings import DeadLetterSettings

LETTER = pa.schema(
    [
        pa.field("dead_at", TIMESTAMP),
        pa.field("dead_sink", pa.string()),
        pa.field("dead_route", pa.string()),
        pa.field("dead_reason", pa.string()),
        pa.field("dead_status", pa.int32()),
        pa.field("dead_answer", pa.string()),
        pa.field("dead_attempts", pa.int32()),
    ]
)
"""When and why a sample died: the sink and its route, the reason in words, the HTTP status and
the body of the answer where there was one, and how often it was tried."""

UNREADABLE = pa.schema(
    [
        pa.field("dead_at", TIMESTAMP),
        pa.field("dead_reason", pa.string()),
        pa.field("source", pa.string()),
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("data", pa.binary()),
    ]
)
"""A message that is no sample (`type=unreadable`): where it lies, and its bytes."""

_UNREADABLE_FOLDER = "type=unreadable"
_FILE_BYTES = 4 * 2**20
_ANSWER_CHARACTERS = 4_096
_DRAFT_SECONDS = 3_600
"""How old a draft is whose writer died: writing one takes less than a second."""


class DeadLetters:
    """The dead letters of one process in a directory that several may share.

    What `put` was given is in a file when it returns. Small additions go into the same file,
    which is then rewritten, until it is large enough. Any thread may call.
    """

    def __init__(self, settings: DeadLetterSettings, listener: Listener = nobody) -> None:
        self._settings = settings
        self._listener = listener
        self._lock = threading.Lock()
        self._growing: dict[tuple[str, Only | None], tuple[Path, pa.Table]] = {}

    @property
    def path(self) -> Path:
        """Their directory."""
        return self._settings.path

    def apart(self, listener: Listener) -> "DeadLetters":
        """The same, in files of its own: others may be read and replaced meanwhile."""
        return DeadLetters(self._settings, listener)

    def put(self, letters: Iterable[DeadLetter]) -> None:
        """Keep letters.

        Raises:
            DiskFullError, UnwritableError: the disk is full, or the directory cannot be written.
            OSError: the disk failed otherwise.
        """
        # What is no row lies apart: a file's schema says it of all its rows.
        by_kind: dict[tuple[str, Only | None], list[pa.Table]] = {}
        for letter in letters:
            for batch in letter.samples:
                kind = entity_type_of(batch).label, only(batch)
                by_kind.setdefault(kind, []).append(_table(letter, batch))
        for kind, tables in by_kind.items():
            self._keep(kind, tables)

    def put_unreadable(self, messages: Sequence[UnreadableMessage]) -> None:
        """Keep messages that could not be read.

        Raises:
            OSError: see `put`.
        """
        if messages:
            columns = (
                [m.at for m in messages],
                [m.reason for m in messages],
                [m.source for m in messages],
                [m.partition for m in messages],
                [m.offset for m in messages],
                [m.data for m in messages],
            )
            arrays = [pa.array(c, f.type) for c, f in zip(columns, UNREADABLE, strict=True)]
            self._keep(("unreadable", None), [pa.Table.from_arrays(arrays, schema=UNREADABLE)])
            self._listener(MessagesUnreadable(len(messages)))

    def _keep(self, kind: tuple[str, Only | None], tables: list[pa.Table]) -> None:
        with self._lock, clear_errors(self._settings.path, "dead letters"):
            path, table = self._growing.get(kind, (None, None))
            if path is None or not path.exists():
                path, table = self._new_file(kind[0]), None
            table = _concatenated([*([] if table is None else [table]), *tables])
            write_file(path, table)
            if path.stat().st_size < _FILE_BYTES:
                self._growing[kind] = (path, table)
            else:
                self._growing.pop(kind, None)
            self._bound(path)

    def _new_file(self, label: str) -> Path:
        folder = self._settings.path / f"type={label}"
        make_private(folder)
        _drop_drafts(folder)
        # The names' order is that of time, whatever the label.
        return folder / f"{utc_now():%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}.parquet"

    def _bound(self, newest: Path) -> None:
        sizes = dict(_sizes(self._settings.path))
        total = sum(sizes.values())
        for file, size in sizes.items():
            if total <= self._settings.size or file == newest:
                return
            total -= size
            try:
                samples = _rows_in(file)
                file.unlink()
            except FileNotFoundError:
                continue
            Log("mqpipe.sinks").error(
                "dead letters dropped: their size limit is reached",
                path=str(file),
                samples=samples,
                limit_bytes=self._settings.size,
            )
            self._listener(DeadLettersDropped(str(file), samples))


def _drop_drafts(folder: Path) -> None:
    """Remove what processes left that died while they wrote."""
    for draft in folder.glob(".*"):
        with suppress(FileNotFoundError):
            if wall_seconds() - draft.stat().st_mtime > _DRAFT_SECONDS:
                draft.unlink()


def dead_letter_files(path: Path) -> list[Path]:
    """The files of dead samples, oldest first."""
    return [file for file in _all_files(path) if file.parent.name != _UNREADABLE_FOLDER]


def unreadable_messages(path: Path) -> int:
    """How many messages lie there that could not be read as samples."""
    return sum(_rows_in(f) for f in _all_files(path) if f.parent.name == _UNREADABLE_FOLDER)


def _all_files(path: Path) -> list[Path]:
    return sorted(path.glob("type=*/[!.]*.parquet"), key=lambda file: file.name)


def _sizes(path: Path) -> Iterator[tuple[Path, int]]:
    """The files, oldest first, and their bytes; another process may drop some at any moment."""
    for file in _all_files(path):
        with suppress(FileNotFoundError):
            yield file, file.stat().st_size


def _rows_in(file: Path) -> int:
    """How many rows a file has; none where it is damaged, as by a power loss.

    Raises:
        FileNotFoundError: it is gone.
    """
    try:
        return int(pq.read_metadata(file).num_rows)
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError):
        return 0


def write_file(path: Path, table: pa.Table) -> None:
    """Write or replace a file as a whole."""
    with replacing(path) as draft, open(draft, "wb", opener=open_private) as target:
        pq.write_table(table, target, compression="zstd")


def read_letters(file: Path) -> Iterator[DeadLetter]:
    """The letters of one file; `samples` have the schema of this version.

    Raises:
        OSError: it cannot be read, or is damaged.
    """
    try:
        table = pq.read_table(file, partitioning=None)
    except pa.ArrowInvalid as error:
        raise OSError(f"{file}: damaged, move it away ({error})") from error
    keys = table.select(LETTER.names).to_pylist()
    start = 0
    for row in range(1, len(keys) + 1):
        if row == len(keys) or keys[row] != keys[start]:
            part = table.slice(start, row - start).drop_columns(LETTER.names).combine_chunks()
            key = keys[start]
            yield DeadLetter(
                tuple(decode(encode(batch)) for batch in part.to_batches()),
                key["dead_sink"],
                key["dead_route"],
                key["dead_reason"],
                key["dead_status"],
                key["dead_answer"],
                key["dead_attempts"],
                round(key["dead_at"].timestamp() * 1000),
            )
            start = row


def letters_table(letters: Sequence[DeadLetter]) -> pa.Table:
    """Letters of one entity type as a table."""
    tables = [_table(letter, batch) for letter in letters for batch in letter.samples]
    return _concatenated(tables)


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of one entity type as one; a column that a sink added is null in those that lack it."""
    table = pa.concat_tables(tables, promote_options="default")
    return one_dictionary(table).combine_chunks()


def _table(letter: DeadLetter, batch: pa.RecordBatch) -> pa.Table:
    values = (
        letter.at,
        letter.sink,
        letter.route,
        letter.reason,
        letter.status,
        letter.answer[:_ANSWER_CHARACTERS],
        letter.attempts,
    )
    columns = [
        pa.repeat(pa.scalar(value, field.type), batch.num_rows)
        for value, field in zip(values, LETTER, strict=True)
    ]
    schema = pa.schema([*LETTER, *batch.schema], batch.schema.metadata)
    return pa.Table.from_arrays([*columns, *batch.columns], schema=schema)
