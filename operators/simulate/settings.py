"""Settings of the simulation: fleets, what happens to them, and the seed of it all."""

import inspect
from collections.abc import Mapping, Sized
from datetime import date, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from operators.schema.fields import (
    BROKER_TOPICS,
    ENVIRONMENT,
    GROUP_CLIENTS,
    GROUP_TOPICS,
    RowLimit,
)
from operators.schema.names import FleetName, fits_a_file
from operators.schema.nearest import did_you_mean, suggestion
from operators.schema.settings import (
    BrokerId,
    Duration,
    Misfit,
    MisfitError,
    Moment,
    Settings,
    at_most,
    part,
    require_distinct,
)
from operators.simulate.patterns import AnyPattern
from operators.simulate.presets import REPLICATION_FACTOR, TOPIC_NAMES, Provider, names_of

_NO_COLON_NO_SLASH = r"^[^:/]+$"
MOST_BROKERS = 10_000
MOST_NODES = 100
MOST_MESSAGE_BYTES = 2**30
MOST_ENTITIES = 200_000
MOST_PARTITIONS = 2_000_000
MOST_IN_ALL = 1_000_000
_BrokerCount = Annotated[int, Field(ge=0), at_most(MOST_BROKERS, "no cluster has more brokers")]
_Entities = Annotated[
    int,
    Field(ge=0),
    at_most(MOST_ENTITIES, "no cluster holds more of them; make several clusters"),
]
_PartitionCount = Annotated[
    int, Field(ge=1), at_most(MOST_PARTITIONS, "a Kafka cluster holds no more partitions")
]
_ReplicaCount = Annotated[int, Field(ge=1), at_most(2**15 - 1, "Kafka counts replicas in 15 bits")]
_Level = Annotated[float, Field(ge=0), at_most(1e9, "no cluster takes more messages a second")]
_Bytes = Annotated[
    int, Field(ge=1), at_most(MOST_MESSAGE_BYTES, "Kafka's messages are smaller than 1 GiB")
]
NAME_CHARACTERS = 249
EntityName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_CHARACTERS, pattern=_NO_COLON_NO_SLASH),
]
"""A name of an entity, as long as Kafka lets a topic's be."""


class TopicSettings(Settings):
    """A topic of a fleet by name; what is left out comes from the preset of its name."""

    name: EntityName = Field(description="the topic's name")
    partitions: _PartitionCount | None = Field(default=None, description="partitions")
    replication_factor: _ReplicaCount | None = Field(
        default=None, description="replicas of a partition"
    )
    messages_per_second: _Level | None = Field(default=None, description="level at a factor of 1")
    message_size: _Bytes | None = Field(default=None, description="bytes of a message")


class GroupSettings(Settings):
    """A consumer group of a fleet by name."""

    name: EntityName = Field(description="the group's id")
    topics: tuple[EntityName, ...] = Field(min_length=1, description="the topics that it reads")
    consumers: Annotated[int, Field(ge=1), at_most(1_000_000, "no group has more")] | None = Field(
        default=None, description="members; one for three partitions"
    )


class QueueSettings(Settings):
    """A queue of a fleet by name; what is left out comes from the preset of its name."""

    name: EntityName = Field(description="the queue's name")
    messages_per_second: _Level | None = Field(default=None, description="level at a factor of 1")
    message_size: _Bytes | None = Field(default=None, description="bytes of a message")
    type: Literal["classic", "quorum", "stream"] | None = Field(
        default=None,
        description="RabbitMQ's type of it; by `quorum_queues` and `stream_queues` without",
    )
    dead_letters_to: EntityName | None = Field(
        default=None,
        description="RabbitMQ: the queue of the fleet that its dead letters go to; without, the one "
        "that is called as it is, with `-dead-letter` behind",
    )
    max_length: Annotated[int, Field(ge=1), at_most(10**12, "no queue holds more")] | None = Field(
        default=None, description="RabbitMQ: messages that may wait in it; the oldest go"
    )
    message_ttl: Duration | None = Field(
        default=None, gt=0, description="RabbitMQ: how long a message waits in it until it expires"
    )

    @property
    def limits(self) -> tuple[str, ...]:
        """Which it has of the settings by which messages leave a queue of RabbitMQ otherwise than read."""
        names = ("dead_letters_to", "max_length", "message_ttl")
        return tuple(name for name in names if getattr(self, name) is not None)


def _misfit(
    queue: QueueSettings, provider: Provider, queues: Mapping[str, QueueSettings]
) -> tuple[str, str] | None:
    """The setting of a listed queue that does not fit its fleet, and why; None where all do."""
    if provider != "rabbitmq":
        for name in ("type", *queue.limits):
            if getattr(queue, name) is not None:
                return name, f"a {provider} queue has no {name}"
        return None
    if queue.type == "stream":
        for name in queue.limits:
            return name, "of a stream nothing is taken out, but by `stream_max_bytes`"
    to = queue.dead_letters_to
    if to is None:
        return None
    if to not in queues:
        return "dead_letters_to", f"the fleet has no queue `{to}`; {suggestion(to, queues)}"
    if to == queue.name or queues[to].dead_letters_to is not None:
        return "dead_letters_to", f"`{to}` must have no dead letters of its own"
    if queues[to].type == "stream":
        return "dead_letters_to", f"`{to}` is a stream"
    return None


class GeneratorSettings(Settings):
    """What makes a fleet's samples instead of the built-in physics."""

    use: str = Field(description="an entry point of mqpipe.generators, or module:name")
    options: dict[str, Any] = Field(default={}, description="its keyword arguments")
    io: bool = Field(
        default=False,
        description="it does I/O: it is asked tick by tick in the pool `simulation` of a run",
    )

    @model_validator(mode="after")
    def _can_be_made(self) -> "GeneratorSettings":
        from operators import plugins

        factory = plugins.load("generator", self.use)
        if not callable(factory):
            raise plugins.PluginError("generator", self.use, "it cannot be called")
        method, other = ("generate", "false") if self.io else ("step", "true")
        if isinstance(factory, type) and not callable(getattr(factory, method, None)):
            why = f"it has no method `{method}`, which `io: {str(self.io).lower()}` wants; "
            raise plugins.PluginError("generator", self.use, f"{why}or write `io: {other}`")
        try:
            inspect.signature(factory).bind(None, None, None, **self.options)
        except TypeError as error:
            why = f"called as factory(spec, account_id, origin, **options): {error}"
            raise plugins.PluginError("generator", self.use, why) from error
        return self


class FleetSettings(Settings):
    """A simulated set of clusters. `brokers`, `topics`, `groups`, `queues` are those of a cluster.

    Kafka has brokers, topics and groups, the other providers have queues, RabbitMQ nodes too.
    """

    model_config = ConfigDict(defer_build=False)  # a shard's digest dumps it by itself

    name: FleetName = Field(
        description="the fleet's name; of several clusters: <name>-1, <name>-2, …"
    )
    provider: Provider = Field(default="kafka", description="what it is a fleet of")
    environment: str = ENVIRONMENT
    time_zone: str = Field(
        default="UTC", description="time zone of its users, such as Europe/Berlin"
    )
    holidays: tuple[date, ...] = Field(default=(), description="local dates that count as weekend")
    clusters: Annotated[int, at_most(MOST_IN_ALL, "a job holds no more of them")] = Field(
        default=1, ge=1, description="number of clusters"
    )
    brokers: _BrokerCount | tuple[BrokerId, ...] = Field(
        default=3, description="brokers, or their ids"
    )
    topics: _Entities | tuple[TopicSettings, ...] = Field(
        default=10, description="topics, or a list of them"
    )
    groups: _Entities | tuple[GroupSettings, ...] = Field(
        default=5, description="consumer groups, or a list of them"
    )
    queues: _Entities | tuple[QueueSettings, ...] = Field(
        default=10, description="queues of the providers that have queues, or a list of them"
    )
    nodes: Annotated[int, Field(ge=1), at_most(MOST_NODES, "no cluster has more nodes")] = Field(
        default=3, description="nodes of a RabbitMQ cluster"
    )
    quorum_queues: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of RabbitMQ's queues that are quorum queues; the others are classic",
    )
    stream_queues: float = Field(
        default=0.0, ge=0, le=1, description="share of RabbitMQ's queues that are streams"
    )
    stream_max_bytes: Annotated[int, Field(ge=1), at_most(2**50, "no disk holds more")] = Field(
        default=5_000_000_000,
        description="bytes that a stream keeps (`x-max-length-bytes`), in whole segments of 500 MB",
    )
    partitions: _PartitionCount | None = Field(
        default=None, description="partitions of a topic; without, by its name's preset"
    )
    replication_factor: _ReplicaCount = Field(
        default=REPLICATION_FACTOR, description="replicas of a partition, at most the brokers"
    )
    messages_per_second: _Level | None = Field(
        default=None, description="level of a cluster; without, by provider, environment and size"
    )
    message_size: _Bytes = Field(default=1000, description="mean bytes of a message")
    skew: float = Field(
        default=0.5, ge=0, le=3, description="Zipf exponent over topics, and partitions"
    )
    capacity: float = Field(
        default=1.8,
        ge=0,
        le=1_000_000,
        description="what consumers can take, as a multiple of the level of what they read",
    )
    noise: float = Field(
        default=0.2, ge=0, le=0.9, description="largest stray of a topic's traffic"
    )
    gaps: float = Field(
        default=0.0,
        ge=0,
        le=0.9,
        description="share of an entity's samples that do not come, ten minutes of them at a time",
    )
    churn: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of topics and groups that come and go, each for some weeks",
    )
    group_topics: RowLimit = GROUP_TOPICS
    broker_topics: RowLimit = BROKER_TOPICS
    group_clients: RowLimit = GROUP_CLIENTS
    retention: Duration = Field(default=604800.0, gt=0, description="how long topics keep messages")
    pattern: AnyPattern = part("how traffic moves with time", kind="business_hours")
    generator: GeneratorSettings | None = Field(
        default=None, description="a custom generator; without, the provider's physics"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            question = did_you_mean(name, available_timezones())
            hint = question or "write it like UTC or Europe/Berlin"
            raise ValueError(f"no time zone `{name}`; {hint}") from None
        return name

    @field_validator("brokers", "topics", "groups", "queues")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        if isinstance(value, int):
            return value
        require_distinct(v if isinstance(v, int) else v.name for v in value)
        return value

    @model_validator(mode="after")
    def _its_clusters_fit_a_file(self) -> "FleetSettings":
        if self.clusters > 1:
            try:
                fits_a_file(f"{self.name}-{self.clusters}")
            except ValueError as error:
                raise MisfitError([(("name",), str(error))]) from None
        return self

    @property
    def foreign(self) -> set[str]:
        """The settings that a fleet of another provider has, and this one has not."""
        kafka_only = {
            "brokers", "topics", "groups", "partitions", "replication_factor", "churn", "retention",
        }  # fmt: skip
        of_rabbitmq = {"nodes", "quorum_queues", "stream_queues", "stream_max_bytes"}
        if self.provider == "kafka":
            return {"queues"} | of_rabbitmq
        return kafka_only if self.provider == "rabbitmq" else kafka_only | of_rabbitmq

    @model_validator(mode="after")
    def _of_the_provider(self) -> "FleetSettings":
        foreign = self.foreign
        given = sorted(foreign & self.model_fields_set)
        if given:
            raise ValueError(f"a {self.provider} fleet has no {', '.join(given)}")
        if self.churn and not (isinstance(self.topics, int) or isinstance(self.groups, int)):
            raise ValueError("`churn` is of counted topics and groups; the listed ones last")
        if self.provider == "kafka" and self.brokers in (0, ()):
            raise ValueError("a Kafka cluster has at least one broker")
        if self.quorum_queues + self.stream_queues > 1:
            raise ValueError(
                "`quorum_queues` and `stream_queues` are shares of all queues, at most 1 together"
            )
        if self.provider != "kafka" and not _count(self.queues):
            raise ValueError("a cluster of queues has at least one queue")
        return self

    @model_validator(mode="after")
    def _queues_fit(self) -> "FleetSettings":
        listed = () if isinstance(self.queues, int) else self.queues
        queues = {queue.name: queue for queue in listed}
        misfits: list[Misfit] = []
        for place, queue in enumerate(listed):
            found = _misfit(queue, self.provider, queues)
            if found is not None:
                name, why = found
                misfits.append((("queues", place, name), f"queue `{queue.name}`: {why}"))
        if misfits:
            raise MisfitError(misfits)
        return self

    @model_validator(mode="after")
    def _can_be_held(self) -> "FleetSettings":
        if self.provider == "kafka" and self.partitions_in_all > MOST_PARTITIONS:
            raise ValueError(
                f"{self.partitions_in_all:,} partitions a cluster, and a Kafka cluster holds at "
                f"most {MOST_PARTITIONS:,}: give fewer `topics` or `partitions`, or make several "
                "clusters"
            )
        return self

    @property
    def entities(self) -> int:
        """What all clusters of the fleet hold, the clusters themselves among it."""
        if self.provider != "kafka":
            nodes = self.nodes if self.provider == "rabbitmq" else 0
            return self.clusters * (1 + _count(self.queues) + nodes)
        return self.clusters * (1 + sum(map(_count, (self.brokers, self.topics, self.groups))))

    @property
    def partitions_in_all(self) -> int:
        """Partitions of a cluster, or the least that they may be where presets say how many."""
        if isinstance(self.topics, int):
            return self.topics * (self.partitions or 1)
        return sum(topic.partitions or self.partitions or 1 for topic in self.topics)

    @model_validator(mode="after")
    def _groups_read_what_is_there(self) -> "FleetSettings":
        if isinstance(self.groups, int):
            return self
        topics = dict.fromkeys(
            names_of(TOPIC_NAMES, self.topics)
            if isinstance(self.topics, int)
            else [topic.name for topic in self.topics]
        )
        misfits: list[Misfit] = [
            (
                ("groups", g, "topics", t),
                f"group `{group.name}` reads the topic `{topic}`, which the fleet does not have; "
                + suggestion(topic, topics),
            )
            for g, group in enumerate(self.groups)
            for t, topic in enumerate(group.topics)
            if topic not in topics
        ]
        if misfits:
            raise MisfitError(misfits)
        return self


class AnomalySettings(Settings):
    """Something that goes wrong: once (`entity` and `start`), or at a `rate`."""

    model_config = ConfigDict(defer_build=False)  # a shard's digest dumps it by itself

    kind: str = Field(description="a built-in kind, an entry point, or module:name")
    entity: str | None = Field(default=None, description="path of the entity where it starts")
    start: Moment | None = Field(default=None, description="when it sets in")
    duration: Duration = Field(
        default=900.0, gt=0, description="from its onset to its recovery's end"
    )
    onset: float | None = Field(
        default=None, ge=0, le=1, description="share of the duration until its peak; by the kind"
    )
    recovery: float | None = Field(
        default=None, ge=0, le=1, description="share of the duration that it abates; by the kind"
    )
    magnitude: float = Field(
        default=1.0, gt=0, le=1_000, description="its strength beside the kind's ordinary one"
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="expected number an entity and day, over all fleets",
    )
    fleet: str | None = Field(default=None, description="the only fleet that `rate` is for")
    at: time | None = Field(
        default=None,
        description="when on the fleet's local day those of a `rate` start; at any time without",
    )
    overlap: str | None = Field(
        default=None,
        description="a kind that sets in half-way through each: where this one started, or at a random "
        "entity of the cluster where it cannot",
    )

    @field_validator("kind", "overlap")
    @classmethod
    def _is_there(cls, name: str | None) -> str | None:
        from operators.simulate.anomalies.kinds import kind_of

        if name is not None:
            kind_of(name)
        return name

    @field_validator("at")
    @classmethod
    def _local(cls, at: time | None) -> time | None:
        if at is not None and at.tzinfo is not None:
            raise ValueError("is local time of the fleet's `time_zone`: write it without an offset")
        return at

    @model_validator(mode="after")
    def _once_or_at_a_rate(self) -> "AnomalySettings":
        if self.rate is None and (self.entity is None or self.start is None):
            raise ValueError("give `entity` and `start`, or a `rate`")
        if self.rate is not None and (self.entity or self.start):
            raise ValueError("give `entity` and `start`, or a `rate`, not both")
        if self.rate is None and (self.fleet is not None or self.at is not None):
            raise ValueError("`fleet` and `at` go with `rate` only")
        if (self.onset or 0) + (self.recovery or 0) > 1:
            raise ValueError("`onset` and `recovery` together are at most 1")
        return self


class SimulationSettings(Settings):
    """What is simulated."""

    seed: int = Field(default=42, ge=0, description="the same seed gives the same samples")
    difficulty: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="how hard anomalies are to find: the share of their strength and of their duration "
        "that they lack",
    )
    fleets: tuple[FleetSettings, ...] = Field(default=(), description="the simulated fleets")
    anomalies: tuple[AnomalySettings, ...] = Field(
        default=(), description="what goes wrong in them"
    )

    @field_validator("fleets")
    @classmethod
    def _can_be_held(cls, fleets: tuple[FleetSettings, ...]) -> tuple[FleetSettings, ...]:
        held = sum(fleet.entities for fleet in fleets)
        if held > MOST_IN_ALL:
            raise ValueError(
                f"the fleets have {held:,} entities together, and a job simulates at most "
                f"{MOST_IN_ALL:,}: give fewer, or spread them over several configurations"
            )
        return fleets


def _count(entities: int | Sized) -> int:
    return entities if isinstance(entities, int) else len(entities)


def cluster_names(fleet: FleetSettings) -> list[str]:
    """The names of a fleet's clusters."""
    if fleet.clusters == 1:
        return [fleet.name]
    return [f"{fleet.name}-{i}" for i in range(1, fleet.clusters + 1)]
