"""What a client's connections report beside its calls' errors: why nobody answers."""

import re
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError

from operators.collect.errors import Problem, class_of
from operators.schema.kafka import DebugLog

TROUBLES_FOR = 60.0
"""Seconds for which the trouble of a connection may explain why a request failed."""

_AT_ONCE = re.compile(r"Disconnected: .*\(after \d{1,3}ms in state")
"""A broker hangs up as soon as we speak: the listener wants SASL, and is not spoken to by it."""


class Troubles:
    """Takes a client's errors and log lines, and keeps the last one that says a cause.

    Give `on_error` to librdkafka as `error_cb`, and `log` as its logger.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.log = _Log(self._on_trouble)
        self._clock = clock
        self._last: tuple[float, Problem] | None = None

    def on_error(self, error: KafkaError) -> None:
        """An error of the client's that belongs to no call."""
        self._on_trouble(Problem(class_of(error), error.str()))

    @property
    def cause(self) -> Problem | None:
        """Why nobody answers, as it was reported last; None where that is `TROUBLES_FOR` ago."""
        if self._last is None:
            return None
        at, trouble = self._last
        return trouble if at > self._clock() - TROUBLES_FOR else None

    def _on_trouble(self, trouble: Problem) -> None:
        if _tells(trouble):
            self._last = (self._clock(), trouble)


def _tells(trouble: Problem) -> bool:
    """Whether it says why nobody answers; many only say that nobody does."""
    return trouble.error_class in ("auth", "tls", "resolve") or any(
        word in trouble.text for word in ("refused", "Disconnected")
    )


class _Log(DebugLog):
    """librdkafka's log: there alone it says that brokers refuse our certificate, or hang up."""

    def __init__(self, on_trouble: Callable[[Problem], None]) -> None:
        super().__init__()
        self._on_trouble = on_trouble

    def log(self, level: int, message: str, *args: Any) -> None:
        """Log one line: its kind, the client, the text."""
        super().log(level, message, *args)
        if len(args) != 3 or args[0] != "FAIL":
            return
        text = args[-1].split("]: ", 1)[-1]  # without the thread's name
        if "SSL" in text:
            self._on_trouble(Problem("tls", text))
        elif _AT_ONCE.search(text):
            self._on_trouble(Problem("refused", text))
