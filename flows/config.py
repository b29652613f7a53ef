"""The whole configuration, put together from the settings of each room."""

import difflib
from collections import Counter
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flows.observe import MetricsSettings
from operators.collect.custom import CollectorSettings
from operators.collect.settings import ClusterSettings
from operators.merge import FillSettings
from operators.pool import PoolsSettings
from operators.schema.settings import Duration, Settings
from operators.simulate import SimulationSettings, shards
from sinks.dead_letters import DeadLetterSettings
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.kafka import KafkaSettings
from sinks.newrelic import NewRelicSettings
from sinks.parquet import ParquetSettings


class ShutdownSettings(Settings):
    """How a run ends."""

    grace: Duration = Field(
        default=25.0, description="how long a drain may take before it is forced"
    )


class SinksSettings(Settings):
    """Where samples go; any combination."""

    parquet: ParquetSettings | None = Field(default=None, description="Parquet files")
    deltalake: DeltaLakeSettings | None = Field(
        default=None, description="Delta tables; needs mqpipe's extra `deltalake`"
    )
    newrelic: NewRelicSettings | None = Field(default=None, description="New Relic")
    kafka: KafkaSettings | None = Field(default=None, description="a Kafka topic, to be replayed")

    @property
    def names(self) -> list[str]:
        """Those that there are."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]


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
    clusters: tuple[ClusterSettings, ...] = Field(default=(), description="what to collect from")
    collectors: tuple[CollectorSettings, ...] = Field(
        default=(), description="targets of one's own kind"
    )
    pools: PoolsSettings = Field(default=PoolsSettings(), description="concurrency of collection")
    simulation: SimulationSettings = Field(
        default=SimulationSettings(), description="what to simulate"
    )
    fill: FillSettings = Field(default=FillSettings(), description="gap filling in hybrid mode")
    catch_up: Duration = Field(
        default=86_400.0,
        description="how far back missed ticks are made: simulated ones, and fills of targets",
    )
    shutdown: ShutdownSettings = Field(default=ShutdownSettings(), description="the end of a run")
    sinks: SinksSettings = Field(default=SinksSettings(), description="where samples go")
    dead_letters: DeadLetterSettings = Field(
        default=DeadLetterSettings(), description="where samples go that a sink refused"
    )
    metrics: MetricsSettings = Field(default=MetricsSettings(), description="the job's own metrics")
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
        own = [collector.name for collector in self.collectors]
        clusters = [cluster.name for cluster in self.clusters] + own
        simulated = [spec.cluster for spec in shards(self.simulation)]
        for name, times in Counter(clusters).items():
            if times > 1:
                raise ValueError(f"clusters, collectors: the name `{name}` is used {times} times")
        for name in own:
            if name in type(self.pools).model_fields:
                raise ValueError(f"collectors: `{name}` is the name of a pool: choose another")
        self._pools_fit(own)
        for name in sorted(set(clusters) & set(simulated)):
            raise ValueError(f"`{name}` is a collected cluster and a simulated one: rename one")
        if self.mode == "infrastructure" and not clusters:
            raise ValueError(
                "mode infrastructure collects, but `clusters` and `collectors` name none"
            )
        if self.mode == "simulation" and not simulated:
            raise ValueError("mode simulation simulates, but `simulation.fleets` names none")
        if self.mode == "hybrid" and not clusters:
            raise ValueError(
                "mode hybrid collects and fills, but `clusters` and `collectors` name none"
            )
        if self.sinks.newrelic is not None and self.account_id is None:
            raise ValueError("sinks.newrelic needs `account_id`")
        self._likes_fit()
        return self

    def _pools_fit(self, own: list[str]) -> None:
        for name in self.pools.own:
            if name not in own:
                known = [*type(self.pools).model_fields, *own]
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
                raise ValueError(f"pools: `{name}` is no kind of target; {hint}")

    def _likes_fit(self) -> None:
        fleets = {fleet.name: fleet for fleet in self.simulation.fleets}
        for cluster in self.clusters:
            if cluster.like is None:
                continue
            if cluster.like not in fleets:
                near = difflib.get_close_matches(cluster.like, fleets, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"there: {', '.join(fleets)}"
                raise ValueError(
                    f"clusters: `{cluster.name}` is like `{cluster.like}`, which is no fleet of "
                    f"simulation.fleets; {hint}"
                )
            generator = fleets[cluster.like].generator
            if generator is not None and generator.io:
                raise ValueError(
                    f"clusters: `{cluster.name}` cannot be like the fleet `{cluster.like}`, whose "
                    "generator does I/O: gaps are filled by what is computed"
                )
            if fleets[cluster.like].provider != "kafka":
                raise ValueError(
                    f"clusters: `{cluster.name}` is of Kafka and cannot be like the "
                    f"{fleets[cluster.like].provider} fleet `{cluster.like}`"
                )

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
