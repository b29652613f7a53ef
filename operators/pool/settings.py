"""Settings of one pool, and of the pools of a run."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from operators.schema.settings import Duration, Settings, at_most, part

_SlotCount = Annotated[
    int, Field(ge=1), at_most(10_000, "each slot is work at the same time, on one machine")
]
_PoolSize = (
    Annotated[int, at_most(10_000, "each slot is work at the same time, on one machine")]
    | Literal["auto"]
)


class Priority(StrEnum):
    """Who goes first where several wait."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class BackoffSettings(Settings):
    """Waiting times between attempts: exponential, with full jitter."""

    initial: Duration = Field(default=1.0, description="longest wait before the second attempt")
    max: Duration = Field(default=30.0, description="longest wait before any attempt")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.initial > self.max:
            raise ValueError(
                f"`initial` ({self.initial:g} s) is above `max` ({self.max:g} s): lower the one or raise the other"
            )
        return self


class BreakerSettings(Settings):
    """When a failing target is left alone, and how often it is tried meanwhile."""

    failures: int = Field(
        default=5, ge=1, le=1_000_000, description="consecutive failed tasks that open the breaker"
    )
    probe: Duration = Field(
        default=60.0, gt=0, description="pause between two probes of an open breaker"
    )


class PoolSettings(Settings):
    """Bounds and manners of one pool."""

    size: _PoolSize = Field(
        default=10,
        description="tasks that run at the same time; `auto` tunes itself within min and max",
    )
    min: _SlotCount | None = Field(default=None, description="smallest size with `size: auto` (1)")
    max: _SlotCount | None = Field(default=None, description="largest size with `size: auto` (32)")
    queue: int = Field(
        default=1000,
        ge=0,
        le=100_000_000,
        description="tasks that wait for a slot; more are refused",
    )
    timeout: Duration = Field(default=10.0, gt=0, description="time-out of one attempt")
    attempts: int = Field(
        default=3, ge=1, le=1_000_000, description="attempts in all, within the task's deadline"
    )
    backoff: BackoffSettings = part("waiting times between attempts")
    breaker: BreakerSettings = part("leaves a failing target alone")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.size != "auto":
            if self.size < 1:
                raise ValueError(f"`size` is {self.size}: a pool needs at least 1 slot")
            if self.min is not None or self.max is not None:
                raise ValueError(
                    f"`min` and `max` go with `size: auto`, and `size` is {self.size}: "
                    "leave them out or write `size: auto`"
                )
        if self.smallest > self.largest:
            raise ValueError(
                f"`min` ({self.smallest}) is above `max` ({self.largest}): "
                "lower the one or raise the other"
            )
        return self

    @property
    def smallest(self) -> int:
        """The least number of slots."""
        return (self.min or 1) if self.size == "auto" else self.size

    @property
    def largest(self) -> int:
        """The greatest number of slots."""
        return (self.max or 32) if self.size == "auto" else self.size


class TopicsPoolSettings(PoolSettings):
    """The pool of kind `topics`."""

    size: _PoolSize = Field(default=15, description="as in every pool")


class GroupsPoolSettings(PoolSettings):
    """The pool of kind `groups`."""

    size: _PoolSize = Field(default=8, description="as in every pool")


class SimulationPoolSettings(PoolSettings):
    """The pool of pluggable generators that do I/O."""

    size: _PoolSize = Field(default=8, description="as in every pool")
    timeout: Duration = Field(default=15.0, gt=0, description="as in every pool")


class PoolsSettings(Settings):
    """One bounded pool a kind of target, per process; own kinds may have theirs too."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, PoolSettings] = Field(init=False)

    brokers: PoolSettings = part("pool of kind `brokers`")
    topics: TopicsPoolSettings = part("pool of kind `topics`")
    groups: GroupsPoolSettings = part("pool of kind `groups`")
    nodes: PoolSettings = part("pool of kind `nodes`, of servers that have queues")
    queues: PoolSettings = part("pool of kind `queues`")
    probe: PoolSettings = part("pool of clusters' end-to-end probes")
    simulation: SimulationPoolSettings = part("pool of pluggable generators that do I/O")

    def of(self, kind: str) -> PoolSettings:
        """The settings of a kind's pool; defaults for an own kind that names none."""
        found: Any = getattr(self, kind) if kind in type(self).model_fields else None
        return found or self.own.get(kind) or PoolSettings()

    @property
    def own(self) -> dict[str, PoolSettings]:
        """The pools of own kinds that the config names."""
        return self.__pydantic_extra__
