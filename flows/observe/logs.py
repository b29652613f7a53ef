"""Where log lines go and how they look: JSON on standard error, or above the live table."""

import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from rich.console import Console
from rich.text import Text

from flows.standard_streams import PeopleStream

_STYLES = {"warning": "magenta", "error": "bold red", "critical": "bold red"}


class LogHandler(logging.StreamHandler[TextIO]):
    """One JSON object a line, to a stream; while `above` a live table, one plain line each."""

    def __init__(self, stream: TextIO, json: logging.Formatter, plain: logging.Formatter) -> None:
        super().__init__(stream)
        self.setFormatter(json)
        self._plain = plain
        self._console: Console | None = None
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what goes wrong with it costs only that line."""
        if self._console is None:
            self._tell_lost()
            super().emit(record)
            return
        try:
            line = Text(self._plain.format(record), _STYLES.get(record.levelname.lower(), ""))
            self._console.print(line, soft_wrap=True)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Lose the line: what the base class would tell of it may end in this handler again."""
        self._lost += 1

    def _tell_lost(self) -> None:
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
    def above(self, console: Console) -> Iterator[None]:
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


def configure_logs(level: str = "INFO") -> LogHandler:
    """Send structlog's and the standard library's logs (librdkafka's among them) one way.

    Lines are JSON objects with `timestamp` (ISO 8601, UTC), `level`, `logger`, `event` and the
    event's own fields. Asked again, it starts over.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )

    def formatter(renderer: structlog.typing.Processor) -> logging.Formatter:
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )

    json = formatter(_json_line)
    handler = LogHandler(sys.stderr, json, formatter(_plain_line))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    return handler


_FIRST = ("timestamp", "level", "logger", "event")
_to_json = structlog.processors.JSONRenderer(default=str)


def _json_line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str | bytes:
    """A JSON object; what every line has comes first."""
    first = {key: event[key] for key in _FIRST if key in event}
    return _to_json(logger, method, first | dict(event))


def _plain_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """`12:00:01 warning  task failed  target=prod/brokers error=…`; times are UTC.

    What is empty, the logger's name, and a `suppressed` of 0 are left out.
    """
    fields: Mapping[str, Any] = {k: v for k, v in event.items() if (k, v) != ("suppressed", 0)}
    rest = " ".join(
        f"{key}={value}"
        for key, value in fields.items()
        if key not in (*_FIRST, "exception") and value not in (None, "", [], {})
    )
    time = str(fields["timestamp"])[11:19]
    line = f"{time} {fields['level']:<7}  {fields['event']}  {rest}".rstrip()
    return f"{line}\n{fields['exception']}" if fields.get("exception") else line
