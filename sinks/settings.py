"""Settings that all sinks share."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from operators.schema.settings import ByteSize, Settings


class DeadLetterSettings(Settings):
    """Where samples go that a sink refused for good."""

    path: Path = Field(default=Path("dead-letters"), description="directory of the dead letters")
    size: ByteSize = Field(
        default=2**30,
        gt=0,
        description="the most they take on disk; the oldest go first, with a warning",
    )


class OfAccount(Settings):
    """Settings of a sink that sends to an account, which `account_id` of the configuration names."""

    title: ClassVar[str]
    """Whose account it is."""
