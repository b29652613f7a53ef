"""The whole configuration, put together from the settings of each room."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from operators.merge.settings import FillSettings
from operators.pool import PoolSettings
from operators.schema.settings import Duration, Settings
from operators.simulate import SimulationSettings, shards
from sinks.parquet import ParquetSettings


class PoolsSettings(Settings):
    """One bounded pool a kind, per process."""

    brokers: PoolSettings = Field(
        default=PoolSettings(size=10), description="pool of `brokers` targets"
    )
    topics: PoolSettings = Field(
        default=PoolSettings(size=15), description="pool of `topics` targets"
    )
    groups: PoolSettings = Field(
        default=PoolSettings(size=8), description="pool of `groups` targets"
    )


class ShutdownSettings(Settings):
    """How a run ends."""

    grace: Duration = Field(
        default=25.0, description="how long a drain may take before it is forced"
    )


class SinksSettings(Settings):
    """Where samples go; any combination."""

    parquet: ParquetSettings | None = Field(default=None, description="Parquet files")


class RecoverySettings(Settings):
    """Where a run's state lies."""

    path: Path = Field(default=Path("state"), description="directory of the state")
    epoch: Duration = Field(default=5.0, gt=0, description="how often a snapshot is taken")


class Config(Settings):
    """Everything that `mqpipe` can be told."""

    mode: Literal["infrastructure", "simulation", "hybrid"] = Field(
        default="simulation",
        description="collect clusters, simulate fleets, or both with gaps of the real filled",
    )
    interval: Duration = Field(default=30.0, description="time between two ticks")
    account_id: int | None = Field(
        default=None, gt=0, description="New Relic account id, part of GUIDs"
    )
    pools: PoolsSettings = Field(default=PoolsSettings(), description="concurrency of collection")
    simulation: SimulationSettings = Field(
        default=SimulationSettings(), description="what to simulate"
    )
    fill: FillSettings = Field(default=FillSettings(), description="gap filling in hybrid mode")
    catch_up: Duration = Field(
        default=86_400.0, description="missed ticks of fleets are made so far back"
    )
    shutdown: ShutdownSettings = Field(default=ShutdownSettings(), description="the end of a run")
    sinks: SinksSettings = Field(default=SinksSettings(), description="where samples go")
    recovery: RecoverySettings = Field(default=RecoverySettings(), description="state between runs")

    @field_validator("interval")
    @classmethod
    def _whole_milliseconds(cls, seconds: float) -> float:
        if seconds < 0.1:
            raise ValueError("the interval is at least 100ms")
        if abs(seconds * 1000 - round(seconds * 1000)) > 1e-6:
            raise ValueError("the interval is a whole number of milliseconds")
        return seconds

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        shards(self.simulation)
        if self.mode == "simulation" and not self.simulation.fleets:
            raise ValueError("mode simulation simulates, but `simulation.fleets` names none")
        return self

    @property
    def interval_ms(self) -> int:
        """The interval in milliseconds."""
        return round(self.interval * 1000)

    @property
    def collects(self) -> bool:
        """Whether this mode collects clusters."""
        return self.mode != "simulation"

    @property
    def simulates(self) -> bool:
        """Whether this mode emits fleets."""
        return self.mode != "infrastructure"
