"""What simulated clusters have no rows or events of, for want of room."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from operators.schema.arrow import Only
from operators.schema.fields import HOW_TO_LIMIT
from operators.simulate.kafka.broker_topics import held_pairs
from operators.simulate.kafka.cluster import partitions_of
from operators.simulate.spec import ShardSpec


class LeftOut(NamedTuple):
    """That a fleet leaves something out: what a log calls it, and a sentence."""

    fleet: str
    event: str
    note: str


def left_out(specs: Iterable[ShardSpec]) -> list[LeftOut]:
    """What the fullest cluster of each fleet lacks; fleets that lack none, or want none, are not named.

    Of events only where there is something that takes them (`ShardSpec.beside`).
    """
    fleets: defaultdict[str, list[ShardSpec]] = defaultdict(list)
    for spec in specs:
        fleets[spec.fleet].append(spec)
    return [
        LeftOut(fleet, event, note)
        for fleet, of_fleet in fleets.items()
        for event, note in _of_fleet(of_fleet)
    ]


def _of_fleet(specs: list[ShardSpec]) -> Iterator[tuple[str, str]]:
    spec = max(specs, key=lambda spec: spec.topology.pairs)
    if 0 < spec.group_topics < spec.topology.pairs:
        yield (
            "too many groups and topics",
            f"groups of {spec.cluster} read {spec.topology.pairs:,} topics, each on its own, and "
            f"`group_topics` allows for {spec.group_topics:,} rows: those of the emptiest topics have "
            f"none; {HOW_TO_LIMIT}",
        )
    if Only.EVENTS not in spec.beside:
        return
    spec = max(specs, key=_most_brokers_topics)
    most = spec.settings.broker_topics
    if 0 < most < _most_brokers_topics(spec):
        pairs = len(held_pairs(partitions_of(spec))[0])
        if most < pairs:
            yield (
                "too many topics on brokers",
                f"{spec.cluster} has {pairs:,} pairs of a broker and a topic on it, and "
                f"`broker_topics` allows for {most:,} events: those of the topics with the least "
                f"traffic have none; {HOW_TO_LIMIT}",
            )
    spec = max(specs, key=_clients)
    most = spec.settings.group_clients
    if 0 < most < _clients(spec):
        yield (
            "too many clients of groups",
            f"groups of {spec.cluster} have {_clients(spec):,} clients, and `group_clients` allows for "
            f"{most:,} events: those of the groups with the least traffic have none; {HOW_TO_LIMIT}",
        )


def _most_brokers_topics(spec: ShardSpec) -> int:
    """Pairs of a broker and a topic, at most: as many as a look at the topics shows."""
    topology = spec.topology
    brokers = len(topology.brokers)
    return sum(min(brokers, t.partitions * t.replication_factor) for t in topology.topics)


def _clients(spec: ShardSpec) -> int:
    return sum(group.consumers for group in spec.topology.groups)
