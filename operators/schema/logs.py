"""Loggers whose lines are an event in words and its fields.

They are the standard library's, so that nothing is imported for them; `flows.observe.logs` says
how lines look and where they go. A logger is called `mqpipe.` and, in one word, the part of a job
that speaks (`mqpipe.collect`), whichever module writes the line; libraries keep their own names.
"""

import logging

FIELDS = "fields"
"""The attribute of a log record that holds the event's fields."""


class Log:
    """Logs events as `name`, each with fields: those of the log, then its own."""

    def __init__(self, name: str, **fields: object) -> None:
        self.name = name
        self._logger = logging.getLogger(name)
        self._fields = fields

    def bind(self, **fields: object) -> "Log":
        """The same log with more fields on every line."""
        return Log(self.name, **self._fields, **fields)

    def says(self, level: int) -> bool:
        """Whether lines of a level (the standard library's) are written."""
        return self._logger.isEnabledFor(level)

    def debug(self, event: str, *, exc_info: bool = False, **fields: object) -> None:
        """What only someone who looks for a fault wants to know; `exc_info` adds the exception."""
        self._write(logging.DEBUG, event, fields, exc_info=exc_info)

    def info(self, event: str, **fields: object) -> None:
        """What is as it should be."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What someone may have to look at."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What someone has to look at."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """An error, with the exception that is being handled."""
        self._write(logging.ERROR, event, fields, exc_info=True)

    def log(self, level: int, event: str, **fields: object) -> None:
        """An event at a level of the standard library's."""
        self._write(level, event, fields)

    def _write(
        self, level: int, event: str, fields: dict[str, object], *, exc_info: bool = False
    ) -> None:
        if self.says(level):
            extra = {FIELDS: {**self._fields, **fields}}
            self._logger.log(level, event, exc_info=exc_info, extra=extra)
