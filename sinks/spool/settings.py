"""What a user can say about samples that wait for the network."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from operators.schema.settings import ByteSize, Settings


class SpoolSettings(Settings):
    """Where samples wait until the network sink has delivered them."""

    path: Path | None = Field(
        default=None,
        description="directory of the spool; without, `<recovery.path>/run/spool`",
    )
    size: ByteSize = Field(
        default=2 * 2**30, ge=2**20, description="the most that it takes on disk, in each process"
    )
    full: Literal["block", "oldest_to_dead_letters"] = Field(
        default="block",
        description="what happens at `size`: the dataflow waits, or the oldest samples go to "
        "dead letters",
    )

    def directory_of(self, sink: str) -> Path:
        """Where a sink's partitions lie, once it is known where the spool does (`spool_of`)."""
        assert self.path is not None  # noqa: S101
        return self.path / sink
