"""Where log lines go and how they look: JSON on standard error, or above the live table."""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from flows.options import LOG_FORMAT, LOG_LEVEL
from flows.standard_streams import PeopleStream
from flows.times import iso
from flows.visible import visible, visible_lines
from operators.schema.logs import FIELDS
from operators.schema.secrets import without_password

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"warning": "magenta", "error": "bold red", "critical": "bold red"}


class LogHandler(logging.StreamHandler[TextIO]):
    """One JSON object a line, to a stream; while `above` a live table, one plain line each."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.setFormatter(JsonLine())
        self._plain = PlainLine() if os.environ.get(LOG_FORMAT) != "json" else JsonLine()
        self._console: Console | None = None
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what goes wrong with it costs only that line."""
        if self._console is None:
            self._report_lost()
            super().emit(record)
            return
        from rich.text import Text  # only where there is a live table

        try:
            line = Text(self._plain.format(record), _STYLES.get(record.levelname.lower(), ""))
            # Lines for people break between words; of JSON each is one line, however long.
            self._console.print(line, soft_wrap=isinstance(self._plain, JsonLine))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Lose the line: what the base class would report of it may end in this handler again."""
        self._lost += 1

    def _report_lost(self) -> None:
        lost, self._lost = self._lost, 0
        if isinstance(self.stream, PeopleStream):
            lost += self.stream.take_lost()
        if lost:
            record = logging.LogRecord(
                "mqpipe.logs", logging.WARNING, "", 0, "log lines lost", None, None
            )
            record.lines = lost
            super().emit(record)

    @contextmanager
    def above(self, console: "Console") -> Iterator[None]:
        """Print to a console, which keeps its live table below, until the block ends."""
        self._console = console
        try:
            yield
        finally:
            self._console = None

    @contextmanager
    def to(self, stream: TextIO) -> Iterator[None]:
        """Write to another stream until the block ends."""
        before = self.setStream(stream)
        try:
            yield
        finally:
            self.setStream(before or sys.stderr)


def configure_logs(level: str | None = None) -> LogHandler:
    """Send what anyone logs (librdkafka among them) to standard error.

    Lines are JSON objects with `timestamp` (ISO 8601, UTC), `level`, `logger`, `event` and the
    event's own fields; for people where the command line asks for `text`. The level is what it asks
    for, else INFO. Asked again, it starts over.
    """
    handler = LogHandler(sys.stderr)
    if os.environ.get(LOG_FORMAT) == "text":
        handler.setFormatter(PlainLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((level or os.environ.get(LOG_LEVEL) or "INFO").upper())
    return handler


_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", FIELDS}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """A record's own fields, by `operators.schema.logs` or by `extra`; the exception is the last."""
    own = vars(record)
    fields = dict(own.get(FIELDS, {}))
    fields.update((key, value) for key, value in own.items() if key not in _OF_EVERY_RECORD)
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields


class JsonLine(logging.Formatter):
    """A JSON object; what every line has comes first."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        first = {
            "timestamp": iso(_moment(record)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        return without_password(json.dumps(first | _fields(record), default=str))


class PlainLine(logging.Formatter):
    """`12:00:01 warning  task failed  target=prod/brokers error=…`; times are UTC.

    What is empty, the logger's name, and a `suppressed` of 0 are left out. No terminal obeys what
    stands in it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        fields: Mapping[str, object] = _fields(record)
        rest = " ".join(
            visible(f"{key}={value}")
            for key, value in fields.items()
            if key != "exception"
            and value not in (None, "", [], {})
            and (key, value) != ("suppressed", 0)
        )
        level, what = record.levelname.lower(), visible_lines(record.getMessage())
        line = f"{_moment(record):%H:%M:%S} {level:<7}  {what}  {rest}".rstrip()
        exception = visible_lines(str(fields.get("exception", "")))
        return without_password(f"{line}\n{exception}" if exception else line)


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
