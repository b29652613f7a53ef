"""Settings of the merge: what is expected of a cluster, and when a gap is filled."""

from typing import Any

from pydantic import Field, field_validator

from operators.schema.settings import BrokerId, Duration, Settings, require_distinct


class ExpectSettings(Settings):
    """Entities of a cluster that hybrid mode fills from the first tick at which they miss."""

    brokers: tuple[BrokerId, ...] = Field(default=(), description="broker ids")
    topics: tuple[str, ...] = Field(default=(), description="topic names")
    groups: tuple[str, ...] = Field(default=(), description="consumer group ids")

    @field_validator("brokers", "topics", "groups")
    @classmethod
    def _each_once(cls, names: tuple[Any, ...]) -> tuple[Any, ...]:
        require_distinct(names)
        return names


class FillSettings(Settings):
    """When hybrid mode fills."""

    grace: Duration = Field(
        default=15.0, gt=0, description="how long after a tick a collected sample is waited for"
    )
    stale_after: Duration = Field(
        default=300.0,
        description="silence after which an entity that was seen and is not in `expect` is filled",
    )
