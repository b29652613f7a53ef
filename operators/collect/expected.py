"""What a provider's settings report of it: what is expected, and what those that miss may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from operators.schema.guid import entity_path
from operators.schema.nearest import suggestion

if TYPE_CHECKING:
    import pyarrow as pa

    from operators.schema.metrics import EntityType
    from operators.simulate.settings import FleetSettings
    from operators.simulate.topology import Topology


@dataclass(frozen=True, slots=True)
class Expected:
    """One entity: its path below the cluster, and the values of its identity columns."""

    path: tuple[str, ...]
    identity: tuple[str | int | None, ...]


class Expectation(Protocol):
    """The settings that name what is expected of a cluster."""

    def of(self, kind: str) -> "Mapping[EntityType, tuple[Expected, ...]]":
        """What is expected of one kind of target."""

    def topology(self, fleet: "FleetSettings", seed: int, cluster: str) -> "Topology":
        """A cluster of a fleet of the same provider, with what is expected in place of its own."""


@dataclass(frozen=True)
class Servers:
    """A provider's servers where its answers name only those that are up: the absent may be down."""

    kind: str
    """The kind of target whose complete result names all that are up."""
    entity_type: "EntityType"
    gone_at_zero: tuple[str, ...]
    """Columns of the cluster's row: where all are 0, a server that is absent is gone for good."""

    def absent_are_gone(self, row: "pa.RecordBatch") -> bool:
        """Whether the cluster's `row` says that no absent server will be back."""
        return all(row.column(name)[0].as_py() == 0 for name in self.gone_at_zero)


def kafka_servers() -> Servers:
    """Kafka's brokers: metadata names those that are up."""
    from operators.schema.metrics import BROKER

    # One that is down leaves the partitions of which it holds a replica under-replicated, or
    # offline where it holds the only one; where there are none of either, it holds nothing.
    gone = ("cluster.underReplicatedPartitions", "cluster.offlinePartitionsCount")
    return Servers("brokers", BROKER, gone)


def lacking(cluster: str, expect: Expectation, samples: "Sequence[pa.RecordBatch]") -> list[str]:
    """The nodes and queues that are expected and not among the samples, each with the nearest name."""
    there = {path for batch in samples for path in batch.column("entity_name").to_pylist()}
    below = sorted(filter(None, (path.partition("/")[2] for path in there)))
    nodes = [path for path in below if path.startswith("node-")]
    lines = []
    for what, kind, names in (
        ("node", "nodes", nodes),
        ("queue", "queues", [path for path in below if path not in nodes]),
    ):
        # Nodes are named as they are written, without what their paths begin with.
        before = "node-" if kind == "nodes" else ""
        named = [name.removeprefix(before) for name in names]
        for expected in expect.of(kind).values():
            for path in (entity_path(*entity.path) for entity in expected):
                if entity_path(cluster, path) not in there:
                    name = path.removeprefix(before)
                    hint = suggestion(name, named)
                    lines.append(f"expect: there is no {what} `{name}`; {hint}")
    return lines
