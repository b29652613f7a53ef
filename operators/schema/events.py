"""How what happens is handed over: by one callable, whatever the event's type."""

from collections.abc import Callable
from typing import TypeAlias

Listener: TypeAlias = Callable[[object], None]
"""Gets each event, from any thread; it must return at once."""


def nobody(_event: object) -> None:
    """The listener of those who have none."""
