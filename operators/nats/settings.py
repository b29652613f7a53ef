"""Settings of a NATS cluster: an entry of `clusters` with `provider: nats`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from operators.collect.pages.settings import BasicAuthSettings, TlsSettings
from operators.collect.settings import LIKE, PRIORITY, ClusterEntry, SelectionSettings
from operators.pool.settings import Priority
from operators.schema.guid import node_name
from operators.schema.nats import parts_at
from operators.schema.settings import EachOnce, Settings, part
from operators.schema.urls import server_url

if TYPE_CHECKING:
    from pyarrow import RecordBatch

    from operators.collect.expected import Expected
    from operators.derive.rules import Rules
    from operators.schema.arrow import Only
    from operators.schema.metrics import EntityType
    from operators.simulate.settings import FleetSettings
    from operators.simulate.topology import Topology

NODES, QUEUES = "nodes", "queues"
"""Kinds of target."""


MonitorUrl = Annotated[
    str, server_url("a monitoring port's URL", "http://nats-1:8222", "`basic_auth`")
]
MonitorUrls = Annotated[
    tuple[MonitorUrl, ...],
    Field(min_length=1),
    BeforeValidator(
        lambda given: (given,) if isinstance(given, str) else given,
        json_schema_input_type=str | tuple[str, ...],
    ),
    EachOnce,
]


class NatsExpectSettings(Settings):
    """Entities of a cluster that hybrid mode fills from the first tick at which they miss."""

    nodes: Annotated[tuple[str, ...], EachOnce] = Field(default=(), description="servers' names")
    queues: Annotated[tuple[str, ...], EachOnce] = Field(
        default=(), description="streams and durable consumers: `ORDERS`, `ORDERS/billing`"
    )

    @field_validator("queues")
    @classmethod
    def _are_paths(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            parts_at(name)
        return names

    def of(self, kind: str) -> "Mapping[EntityType, tuple[Expected, ...]]":
        """What is expected of one kind of target."""
        from operators.collect.expected import Expected
        from operators.schema.metrics import NODE, QUEUE

        match kind:
            case "nodes":
                return {NODE: tuple(Expected((node_name(n),), (n,)) for n in self.nodes)}
            case "queues":
                return {QUEUE: tuple(Expected(parts_at(q), (q, None)) for q in self.queues)}
        return {}

    def topology(self, fleet: "FleetSettings", seed: int, cluster: str) -> "Topology":
        """A cluster of a NATS fleet, with what is expected in place of its own."""
        from operators.simulate.expected import with_queues

        return with_queues(fleet, seed, cluster, (), [(None, path) for path in self.queues])


class NatsSettings(ClusterEntry):
    """A NATS cluster with JetStream to collect from."""

    title: ClassVar[str] = "NATS"
    servers: ClassVar[None] = None
    """Its meta leader names those that are down."""

    provider: Literal["nats"] = Field(description="`nats`")
    url: MonitorUrls = Field(
        description="the monitoring port of the server, or a list of those of all its servers, each of "
        "which reports of itself alone: `http://nats-1:8222`"
    )
    tls: TlsSettings = part("of ports by https")
    basic_auth: BasicAuthSettings | None = Field(
        default=None,
        description="user and password, where a proxy asks for them: NATS itself does not",
    )
    accounts: SelectionSettings = part("whose streams are collected, by account")
    streams: SelectionSettings = part("which streams are collected, with their consumers")
    consumers: SelectionSettings = part("which of their consumers are collected")
    ephemeral: bool = Field(
        default=False, description="consumers that are not durable too: they come and go"
    )
    priority: Priority = PRIORITY
    expect: NatsExpectSettings = part("what hybrid mode fills when it is missing")
    like: str | None = LIKE

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its targets."""
        return NODES, QUEUES

    @property
    def address(self) -> str:
        """Where it is reached."""
        return ", ".join(self.url)

    async def lacks(
        self, samples: "Sequence[RecordBatch]", timeout: float, *, known: bool
    ) -> list[str]:
        """What is expected and not there, where all is `known`."""
        from operators.collect.expected import lacking

        return lacking(self.name, self.expect, samples) if known else []

    @property
    def derivations(self) -> "Rules":
        """How two of its ticks are compared, by kind: all that it counts are `totals`."""
        return {}

    def collector(self, account_id: int | None, *, beside: "frozenset[Only]" = frozenset()) -> Any:
        """What collects from it; see `operators.collect.step.Collects`.

        `beside` rows NATS has nothing.
        """
        from operators.nats.collector import NatsCollector

        return NatsCollector(self, account_id)
