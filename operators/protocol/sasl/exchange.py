"""What a mechanism is: a generator that yields what goes to the broker and is sent its answers."""

from collections.abc import Generator
from typing import TypeAlias

Exchange: TypeAlias = Generator[bytes, bytes, None]
"""It returns when the broker is to be believed; the broker's own word comes beside it."""


class RefusedError(Exception):
    """The exchange came to nothing; the text says why, without secrets."""
