"""What the code under test logs, as data."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from operators.schema.logs import FIELDS


class _Kept(logging.Handler):
    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, FIELDS):
            said = {"event": record.getMessage(), "level": record.levelname.lower()}
            self._lines.append({**getattr(record, FIELDS), **said})


@contextmanager
def captured_logs() -> Iterator[list[dict[str, Any]]]:
    """What is logged by `Log` while the block runs, at any level: `event`, `level` and the event's fields."""
    lines: list[dict[str, Any]] = []
    handler, root = _Kept(lines), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
