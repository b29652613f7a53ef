"""What was read and is no sample."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message, or a part of one, that is no sample: where it lies, and its bytes."""

    source: str
    """The topic, or the spool's folder."""
    partition: int
    offset: int
    data: bytes = field(repr=False)
    reason: str
    at: int
    """When it was found, in milliseconds since the epoch."""
