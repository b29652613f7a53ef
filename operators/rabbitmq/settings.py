"""Settings of a RabbitMQ cluster: an entry of `clusters` with `provider: rabbitmq`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator

from operators.collect.pages.settings import PageUrl, TlsSettings
from operators.collect.settings import LIKE, PRIORITY, ClusterEntry, SelectionSettings
from operators.pool.settings import Priority
from operators.schema.guid import node_name
from operators.schema.rabbitmq import path_of, queue_at
from operators.schema.settings import EachOnce, Settings, one_password, part
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


ApiUrl = Annotated[
    str,
    server_url("the management API's URL", "https://rabbit-1:15672", "`user`, `password`"),
    AfterValidator(lambda url: url.removesuffix("/api")),
]


class RabbitExpectSettings(Settings):
    """Entities of a cluster that hybrid mode fills from the first tick at which they miss."""

    nodes: Annotated[tuple[str, ...], EachOnce] = Field(
        default=(), description="node names: `rabbit@host`"
    )
    queues: Annotated[tuple[str, ...], EachOnce] = Field(
        default=(), description="queues: `orders`, or `shop/orders` of the virtual host `shop`"
    )

    @field_validator("queues")
    @classmethod
    def _are_paths(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            queue_at(name)
        return names

    def of(self, kind: str) -> "Mapping[EntityType, tuple[Expected, ...]]":
        """What is expected of one kind of target."""
        from operators.collect.expected import Expected
        from operators.schema.metrics import NODE, QUEUE

        match kind:
            case "nodes":
                return {NODE: tuple(Expected((node_name(n),), (n,)) for n in self.nodes)}
            case "queues":
                named = map(queue_at, self.queues)
                return {QUEUE: tuple(Expected(path_of(v, q), (q, v)) for v, q in named)}
        return {}

    def topology(self, fleet: "FleetSettings", seed: int, cluster: str) -> "Topology":
        """A cluster of a RabbitMQ fleet, with what is expected in place of its own."""
        from operators.simulate.expected import with_queues

        return with_queues(fleet, seed, cluster, self.nodes, tuple(map(queue_at, self.queues)))


class RabbitSettings(ClusterEntry):
    """A RabbitMQ cluster to collect from."""

    title: ClassVar[str] = "RabbitMQ"
    servers: ClassVar[None] = None
    """It names its nodes, up or not."""

    provider: Literal["rabbitmq"] = Field(description="`rabbitmq`")
    url: ApiUrl = Field(description="its management API: `https://rabbit-1:15672`")
    user: str = Field(
        pattern="^[^:]+$",
        description="a user of it with the tag `monitoring`; see docs/rabbitmq.md",
    )
    password: SecretStr | None = Field(default=None, description="the user's password")
    password_file: Path | None = Field(
        default=None, description="file that holds it, read at every tick"
    )
    tls: TlsSettings = part("of the API and of pages by https")
    reader: Literal["auto", "prometheus", "api"] = Field(
        default="auto",
        description="what queues are read by: the Prometheus plugin's pages where they can be "
        "reached, else the API (`auto`), or one of the two alone",
    )
    prometheus: dict[str, PageUrl] = Field(
        default_factory=dict,
        description="where a node's Prometheus plugin is, by node name, if not where the API says: "
        "`http://rabbit-1:15692`",
    )
    vhosts: SelectionSettings = part("whose queues are collected, by virtual host")
    queues: SelectionSettings = part("which queues are collected, by their names")
    priority: Priority = PRIORITY
    expect: RabbitExpectSettings = part("what hybrid mode fills when it is missing")
    like: str | None = LIKE

    _one_password = one_password

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its targets."""
        return NODES, QUEUES

    @property
    def address(self) -> str:
        """Where it is reached."""
        return self.url

    async def lacks(
        self,
        samples: "Sequence[RecordBatch]",
        timeout: float,
        *,
        known: bool,
    ) -> list[str]:
        """What is expected and not there, where all is `known`."""
        from operators.collect.expected import lacking

        return lacking(self.name, self.expect, samples) if known else []

    @property
    def derivations(self) -> "Rules":
        """How two of its ticks are compared, by kind."""
        from operators.rabbitmq.derive import RABBIT_RULES

        return RABBIT_RULES

    def collector(self, account_id: int | None, *, beside: "frozenset[Only]" = frozenset()) -> Any:
        """What collects from it; see `operators.collect.step.Collects`.

        `beside` rows RabbitMQ has nothing.
        """
        from operators.rabbitmq.collector import RabbitCollector

        return RabbitCollector(self, account_id)
