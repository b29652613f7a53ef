"""A topic's bytes on each broker, as New Relic's own integration has them: events of their own."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set

import pyarrow as pa

from operators.collect.client.topology import ClusterMetadata
from operators.collect.pages.dialects import BYTES_IN
from operators.collect.pages.reader import Pages
from operators.collect.samples import SampleIdentity, collected_batch
from operators.schema.arrow import Only, as_only
from operators.schema.fields import HOW_TO_LIMIT
from operators.schema.guid import broker_name, entity_path
from operators.schema.metrics import BROKER_TOPIC


def broker_topics(
    identity: SampleIdentity,
    tick: int,
    topology: ClusterMetadata,
    topics: Set[str],
    pages: Pages,
    sizes: Mapping[int, Mapping[str, int]],
    most: int,
) -> tuple[pa.RecordBatch, int]:
    """One BROKER_TOPIC row for each live broker that has written to a topic, or holds some of it.

    At most `most`: those of the topics to which most was written since the brokers' start, each
    with all its brokers. `topics` are those that are collected, `sizes` bytes on disk by broker
    and topic. The rates are for the derivation to fill in. The rows are marked as events alone
    (`as_only`). With them how many have none, for want of room.
    """
    brokers: defaultdict[str, set[int]] = defaultdict(set)
    written: defaultdict[str, float] = defaultdict(float)
    for broker, topic, count in _written(pages):
        brokers[topic].add(broker)
        written[topic] += count
    for broker, of_topics in sizes.items():
        for topic in of_topics:
            brokers[topic].add(broker)
    pairs: list[tuple[int, str]] = []
    without = 0
    for topic in sorted(topics & brokers.keys(), key=lambda topic: (-written[topic], topic)):
        of_topic = [(b, topic) for b in brokers[topic] if b in topology.brokers]
        if without or len(pairs) + len(of_topic) > most:
            without += len(of_topic)
        else:
            pairs += of_topic
    pairs.sort()  # the same order from tick to tick
    names = [(broker_name(broker), topic) for broker, topic in pairs]
    batch = collected_batch(
        identity,
        tick,
        BROKER_TOPIC,
        names,
        [entity_path(*name) for name in names],
        {
            "broker_id": [broker for broker, _ in pairs],
            "topic": [topic for _, topic in pairs],
            "topic.diskSize": [sizes.get(broker, {}).get(topic) for broker, topic in pairs],
            "broker.host": [topology.address(broker) for broker, _ in pairs],
        },
    )
    return as_only(batch, Only.EVENTS), without


def left_out(without: int, most: int) -> str:
    """A sentence on the brokers' topics that have no events."""
    return (
        f"`broker_topics` allows for {most:,} events of a broker on a topic: {without:,}, of the topics "
        f"with the least traffic, have none; {HOW_TO_LIMIT}"
    )


def _written(pages: Pages) -> Iterator[tuple[int, str, float]]:
    """What brokers' pages say of bytes that were produced: broker, topic, bytes or a rate of them."""
    for broker, page in pages.pages.items():
        for reported in (page.topic_counters, page.rates):
            for (name, topic), value in reported.items():
                if name == BYTES_IN and topic is not None:
                    yield broker, topic, value
