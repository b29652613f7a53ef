"""Settings of what is collected: the entries of `clusters` and `collectors` in the config."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from operators.collect.pages.settings import BrokerPages
from operators.pool.settings import Priority
from operators.schema.fields import (
    BROKER_TOPICS,
    ENVIRONMENT,
    GROUP_CLIENTS,
    GROUP_TOPICS,
    RowLimit,
)
from operators.schema.guid import broker_name
from operators.schema.kafka import KafkaAccess
from operators.schema.librdkafka import misfits
from operators.schema.names import ClusterName
from operators.schema.settings import (
    BrokerId,
    EachOnce,
    MisfitError,
    Settings,
    part,
)

if TYPE_CHECKING:
    from pyarrow import RecordBatch

    from operators.collect.expected import Expected, Servers
    from operators.schema.arrow import Only
    from operators.schema.metrics import EntityType
    from operators.simulate.settings import FleetSettings
    from operators.simulate.topology import Topology


class SelectionSettings(Settings):
    """Which topics or groups are collected: those that an `include` finds and no `exclude` does.

    Regular expressions that are searched for in the name; `^` and `$` anchor them.
    """

    include: tuple[re.Pattern[str], ...] = Field(
        default=(re.compile(".*"),), description="regular expressions; one must be found in a name"
    )
    exclude: tuple[re.Pattern[str], ...] = Field(
        default=(), description="regular expressions; none may be found in a name"
    )

    def selects(self, name: str) -> bool:
        """Whether what is called `name` is collected."""
        found = any(pattern.search(name) for pattern in self.include)
        return found and not any(pattern.search(name) for pattern in self.exclude)


class Selected:
    """A selection that remembers what it said of a name: each tick asks for all of them."""

    def __init__(self, selection: SelectionSettings) -> None:
        self._selection = selection
        self._said: dict[str, bool] = {}

    def selects(self, name: str) -> bool:
        """Whether what is called `name` is collected."""
        said = self._said.get(name)
        if said is None:
            if len(self._said) > _REMEMBERED:
                self._said.clear()
            said = self._said[name] = self._selection.selects(name)
        return said


_REMEMBERED = 200_000
"""Names of which it is known, at most."""


PRIORITY: Any = Field(default=Priority.NORMAL, description="whose turn it is in a full pool")
LIKE: Any = Field(
    default=None, description="the fleet whose pattern and levels fill what was never seen"
)


class ProbeSettings(Settings):
    """An end-to-end probe; `probe: {}` is enough."""

    topic: str = Field(
        default="__mqpipe_probe",
        pattern=r"^[a-zA-Z0-9._-]{1,249}$",
        description="name of its topic and of its consumer group, which are the probe's own: they "
        "are made by it and removed at the end of the run",
    )


class ExpectSettings(Settings):
    """Entities of a cluster that hybrid mode fills from the first tick at which they miss."""

    brokers: Annotated[tuple[BrokerId, ...], EachOnce] = Field(default=(), description="broker ids")
    topics: Annotated[tuple[str, ...], EachOnce] = Field(default=(), description="topic names")
    groups: Annotated[tuple[str, ...], EachOnce] = Field(
        default=(), description="consumer group ids"
    )

    def of(self, kind: str) -> "Mapping[EntityType, tuple[Expected, ...]]":
        """What is expected of one kind of target."""
        from operators.collect.expected import Expected
        from operators.schema.metrics import BROKER, CONSUMER_GROUP, TOPIC
        from operators.ticks import TargetKind

        match kind:
            case TargetKind.BROKERS:
                return {BROKER: tuple(Expected((broker_name(i),), (i,)) for i in self.brokers)}
            case TargetKind.TOPICS:
                return {TOPIC: tuple(Expected((name,), (name,)) for name in self.topics)}
            case TargetKind.GROUPS:
                return {CONSUMER_GROUP: tuple(Expected((name,), (name,)) for name in self.groups)}
        return {}

    def topology(self, fleet: "FleetSettings", seed: int, cluster: str) -> "Topology":
        """A cluster of a Kafka fleet, with what is expected in place of its own."""
        from operators.simulate.expected import with_topics

        return with_topics(fleet, seed, cluster, self.brokers, self.topics, self.groups)


class ClusterEntry(Settings):
    """What an entry of `clusters` begins with, whichever its provider."""

    name: ClusterName
    provider: str
    environment: str = ENVIRONMENT


class ClusterSettings(KafkaAccess, ClusterEntry):
    """A Kafka cluster to collect from."""

    title: ClassVar[str] = "Kafka"

    provider: Literal["kafka"] = Field(default="kafka", description="`kafka`")
    broker_metrics: BrokerPages = part(
        "the brokers' Prometheus pages: URLs by broker id, or the keys below"
    )
    log_dirs: bool = Field(
        default=False,
        description="ask each broker for the topics' sizes on its disks",
    )
    topics: SelectionSettings = part("which topics are collected", exclude=("^__",))
    groups: SelectionSettings = part("which consumer groups are collected")
    group_topics: RowLimit = GROUP_TOPICS
    broker_topics: RowLimit = BROKER_TOPICS
    group_clients: RowLimit = GROUP_CLIENTS
    isolation: Literal["read_uncommitted", "read_committed"] = Field(
        default="read_uncommitted",
        description="how groups read, which their lag goes by: read_committed counts up to the first "
        "transaction that is not ended",
    )
    partition_offsets: bool = Field(
        default=False, description="a sample for each group, topic and partition too"
    )
    priority: Priority = PRIORITY
    probe: ProbeSettings | None = Field(
        default=None, description="messages of its own, produced and read back at each tick"
    )
    expect: ExpectSettings = part("what hybrid mode fills when it is missing")
    like: str | None = LIKE

    @model_validator(mode="after")
    def _properties_have_a_meaning(self) -> Self:
        from operators.protocol.properties import PropertyError, translated

        try:
            translated(self.properties)
        except PropertyError as error:
            own = error.name == "bootstrap.servers"
            place = ("bootstrap_servers",) if own else ("client", error.name)
            raise MisfitError([(place, str(error))]) from None
        if self.probe is not None and (found := misfits(self.client_properties)):
            raise MisfitError(found)
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its targets."""
        from operators.ticks import KAFKA_KINDS, PROBE_KIND

        return (*KAFKA_KINDS, *([] if self.probe is None else [PROBE_KIND]))

    @property
    def address(self) -> str:
        """Where it is reached."""
        return self.bootstrap_servers

    @property
    def servers(self) -> "Servers":
        """Its brokers."""
        from operators.collect.expected import kafka_servers

        return kafka_servers()

    @property
    def derivations(self) -> None:
        """How two of its ticks are compared: as Kafka's are, which the derivation knows."""
        return

    def collector(self, account_id: int | None, *, beside: "frozenset[Only]" = frozenset()) -> Any:
        """What collects from it; see `operators.collect.step.Collects`.

        `beside` says what it reports besides rows: groups' lag by partition, to be sent as data
        points; brokers by topic and groups by client, to be sent as events.
        """
        from operators.collect.cluster_collector import ClusterCollector

        return ClusterCollector(self, account_id, beside=beside)

    async def lacks(
        self, samples: "Sequence[RecordBatch]", timeout: float, *, known: bool
    ) -> list[str]:
        """What its client may not see; else, where all is `known`, what is expected and not there."""
        from operators.collect.check import lacks

        return await lacks(self, samples, timeout, known=known)

    @property
    def collected_groups(self) -> SelectionSettings:
        """Which groups are collected: the probe's own is not."""
        if self.probe is None:
            return self.groups
        own = re.compile(f"^{re.escape(self.probe.topic)}$")
        return self.groups.model_copy(update={"exclude": (*self.groups.exclude, own)})


class CollectorSettings(Settings):
    """A custom collector."""

    name: ClusterName = Field(
        description="the target's name: its cluster in samples, and its pool in `pools`",
    )
    environment: str = ENVIRONMENT
    use: str = Field(description="an entry point of mqpipe.collectors, or module:name")
    options: dict[str, Any] = Field(default={}, description="its keyword arguments")

    @field_validator("use")
    @classmethod
    def _is_there(cls, name: str) -> str:
        from operators import plugins

        if not callable(plugins.load("collector", name)):
            raise plugins.PluginError("collector", name, "it cannot be called")
        return name
