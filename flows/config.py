"""The whole configuration, put together from the settings of each package."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from flows.observe.settings import MetricsSettings
from flows.times import tick_interval
from operators.collect.clusters import AnyCluster
from operators.collect.settings import CollectorSettings
from operators.merge.settings import FillSettings
from operators.pool.settings import PoolsSettings
from operators.schema.nearest import suggestion
from operators.schema.settings import Duration, Misfit, MisfitError, Settings, part
from operators.simulate.settings import SimulationSettings, cluster_names
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.kafka.settings import KafkaSettings
from sinks.newrelic.settings import NewRelicSettings
from sinks.otlp.settings import OtlpSettings
from sinks.parquet.settings import ParquetSettings
from sinks.settings import DeadLetterSettings, OfAccount

if TYPE_CHECKING:
    from operators.simulate.spec import ShardSpec
    from sinks.sink import SinkSettings

_MOST_BYTES = {"interval": 2**46, "retention": 2**54}
"""Bytes of an entity that can be counted, beside anomalies, replicas and parts of its traffic."""


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
    otlp: OtlpSettings | None = Field(
        default=None, description="any backend that takes OpenTelemetry's metrics"
    )
    kafka: KafkaSettings | None = Field(default=None, description="a Kafka topic, to be replayed")

    @property
    def names(self) -> list[str]:
        """Those that there are."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def given(self) -> "list[SinkSettings]":
        """The settings of those that there are."""
        return [getattr(self, name) for name in self.names]


class RecoverySettings(Settings):
    """Where a run's state lies."""

    path: Path = Field(default=Path("state"), description="directory of the state")
    epoch: Duration = Field(default=5.0, gt=0, description="how often a snapshot is taken")


class Config(Settings):
    """Everything that can be configured."""

    mode: Literal["infrastructure", "simulation", "hybrid"] = Field(
        default="simulation",
        description="collect clusters, simulate fleets, or both with gaps of the real filled",
    )
    interval: Duration = Field(default=30.0, description="time between two ticks")
    account_id: int | None = Field(
        default=None, gt=0, le=2**53, description="New Relic account id, part of GUIDs"
    )
    clusters: tuple[AnyCluster, ...] = Field(default=(), description="what to collect from")
    collectors: tuple[CollectorSettings, ...] = Field(default=(), description="custom targets")
    pools: PoolsSettings = part("concurrency of collection")
    simulation: SimulationSettings = part("what to simulate")
    fill: FillSettings = part("gap filling in hybrid mode")
    catch_up: Duration = Field(
        default=86_400.0,
        description="how far back missed ticks are made: simulated ones, and fills of targets",
    )
    shutdown: ShutdownSettings = part("the end of a run")
    sinks: SinksSettings = part("where samples go")
    dead_letters: DeadLetterSettings = part("where samples go that a sink refused")
    metrics: MetricsSettings = part("the job's own metrics")
    recovery: RecoverySettings = part("state between runs")

    @field_validator("interval")
    @classmethod
    def _ticks_can_be_so_far_apart(cls, seconds: float) -> float:
        return tick_interval(seconds)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        misfits = [
            *self._name_misfits(),
            *self._mode_misfits(),
            *self._pool_misfits(),
            *self._like_misfits(),
            *self._simulation_misfits(),
        ]
        if misfits:
            raise MisfitError(misfits)
        return self

    def _name_misfits(self) -> Iterator[Misfit]:
        own = [(("collectors", n, "name"), c.name) for n, c in enumerate(self.collectors)]
        named = [(("clusters", n, "name"), c.name) for n, c in enumerate(self.clusters)] + own
        times = Counter(name for _, name in named)
        simulated = {name for fleet in self.simulation.fleets for name in cluster_names(fleet)}
        for place, name in named:
            if times[name] > 1:
                yield place, f"clusters, collectors: the name `{name}` is used {times[name]} times"
            if name in simulated:
                yield place, f"`{name}` is a collected cluster and a simulated one: rename one"
        for place, name in own:
            if name in type(self.pools).model_fields:
                yield place, f"`{name}` is the name of a pool: choose another"

    def _mode_misfits(self) -> Iterator[Misfit]:
        collected = self.clusters or self.collectors
        if self.mode == "infrastructure" and not collected:
            message = "mode infrastructure collects, but `clusters` and `collectors` name none"
            yield ("mode",), message
        if self.mode == "simulation" and not self.simulation.fleets:
            message = "mode simulation simulates, but `simulation.fleets` names none"
            hint = "; to collect from what is named, say `mode: infrastructure`"
            yield ("mode",), message + (hint if collected else "")
        if self.mode == "hybrid" and not collected:
            message = "mode hybrid collects and fills, but `clusters` and `collectors` name none"
            yield ("mode",), message
        for name in self.sinks.names if self.account_id is None else ():
            settings = getattr(self.sinks, name)
            if isinstance(settings, OfAccount):
                yield ("sinks", name), f"{settings.title} needs `account_id`"

    def _pool_misfits(self) -> Iterator[Misfit]:
        own = [collector.name for collector in self.collectors]
        known = [*type(self.pools).model_fields, *own]
        for name in self.pools.own:
            if name not in own:
                yield ("pools", name), f"`{name}` is no kind of target; {suggestion(name, known)}"

    def _like_misfits(self) -> Iterator[Misfit]:
        fleets = {fleet.name: fleet for fleet in self.simulation.fleets}
        for n, cluster in enumerate(self.clusters):
            if cluster.like is None:
                continue
            fleet, place = fleets.get(cluster.like), ("clusters", n, "like")
            if fleet is None:
                hint = suggestion(cluster.like, fleets)
                yield place, f"`{cluster.like}` is no fleet of simulation.fleets; {hint}"
            elif fleet.generator is not None and fleet.generator.io:
                message = (
                    f"`{cluster.name}` cannot be like the fleet `{fleet.name}`, whose "
                    "generator does I/O: gaps are filled by what is computed"
                )
                yield place, message
            elif fleet.provider != cluster.provider:
                message = (
                    f"`{cluster.name}` is of {cluster.title} and cannot be like the "
                    f"{fleet.provider} fleet `{fleet.name}`"
                )
                yield place, message

    def _simulation_misfits(self) -> Iterator[Misfit]:
        if not (self.simulation.fleets or self.simulation.anomalies):
            return
        from operators.simulate.spec import shards

        try:
            specs = shards(self.simulation)
        except MisfitError as error:
            yield from ((("simulation", *path), message) for path, message in error.misfits)
            return
        yield from self._level_misfits(specs)

    def _level_misfits(self, specs: "Sequence[ShardSpec]") -> Iterator[Misfit]:
        """Traffic that cannot be counted, of each fleet's first cluster: the others are like it."""
        places = {fleet.name: n for n, fleet in enumerate(self.simulation.fleets)}
        for spec in {spec.fleet: spec for spec in reversed(specs)}.values():
            most = max((t.messages * t.message_size for t in spec.topology.topics), default=0.0)
            queued = max((q.messages * q.message_size for q in spec.topology.queues), default=0.0)
            busiest = max(most, queued)
            for span, name in ((self.interval, "interval"), (spec.settings.retention, "retention")):
                if busiest * span > _MOST_BYTES[name]:
                    yield (
                        ("simulation", "fleets", places[spec.fleet]),
                        f"its busiest entity takes {busiest:.3g} bytes a second, which in one "
                        f"{name} ({span:g} s) are more than can be counted: lower "
                        f"`messages_per_second` or `message_size`, or shorten `{name}`",
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
