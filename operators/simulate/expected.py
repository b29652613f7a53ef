"""Clusters of a fleet that hold, in place of the fleet's own, entities that are named."""

from collections.abc import Sequence
from dataclasses import replace

from operators.simulate.fleets import topology_of
from operators.simulate.settings import FleetSettings, TopicSettings
from operators.simulate.topology import Topology


def with_queues(
    fleet: FleetSettings,
    seed: int,
    cluster: str,
    nodes: tuple[str, ...],
    queues: Sequence[tuple[str | None, str]],
) -> Topology:
    """A cluster with these nodes, and these queues by virtual host (None where there are none) and name."""
    own = {"queues": len(queues)} if queues else {}
    topology = topology_of(fleet.model_copy(update=own), seed, cluster)
    if nodes:
        topology = replace(topology, nodes=nodes)
    if not queues:
        return topology
    named = zip(topology.queues, queues, strict=True)
    return replace(
        topology,
        queues=tuple(
            replace(queue, vhost=vhost or queue.vhost, name=name) for queue, (vhost, name) in named
        ),
    )


def with_topics(
    fleet: FleetSettings,
    seed: int,
    cluster: str,
    brokers: tuple[int, ...],
    topics: tuple[str, ...],
    groups: tuple[str, ...],
) -> Topology:
    """A Kafka cluster with these brokers, topics and groups."""
    own: dict[str, object] = {}
    if brokers:
        own["brokers"] = brokers
    if topics:
        # Names as they are: what a collected cluster has need not be a name that a fleet may have.
        own["topics"] = tuple(TopicSettings.model_construct(name=name) for name in topics)
        if not isinstance(fleet.groups, int):
            own["groups"] = len(fleet.groups)
    if groups:
        own["groups"] = len(groups)
    topology = topology_of(fleet.model_copy(update=own), seed, cluster)
    pairs = zip(topology.groups, groups, strict=False)
    named = tuple(replace(group, name=name) for group, name in pairs)
    return replace(topology, groups=named) if groups else topology
