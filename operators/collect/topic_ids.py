"""Topic ids: how one knows that a topic was deleted and created anew under its name."""

from collections.abc import Mapping

from operators.collect.client import KafkaClient
from operators.collect.errors import CollectionError
from operators.collect.offsets import Offsets
from operators.collect.topology import Topology

Signature = tuple[int, int, int, int]
"""Partitions, and the sums of end offsets, start offsets and leader epochs."""


class TopicIds:
    """The ids of a cluster's topics, asked for only where a topic has changed at all."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Signature, str]] = {}

    async def of(
        self,
        client: KafkaClient,
        topology: Topology,
        offsets: Offsets,
        wanted: frozenset[str],
        timeout: float,
    ) -> Mapping[str, str]:
        """The ids of the `wanted` topics that the cluster tells within `timeout` seconds."""
        signatures = _signatures(topology, offsets, wanted)
        changed = [
            topic
            for topic, signature in signatures.items()
            if topic not in self._known or self._known[topic][0] != signature
        ]
        self._known = {t: known for t, known in self._known.items() if t in signatures}
        try:
            found = await client.topic_ids(changed, timeout)
        except CollectionError:
            found = {}
        for topic in changed:
            topic_id = found.get(topic)
            if topic_id is not None:
                self._known[topic] = signatures[topic], topic_id
            else:
                self._known.pop(topic, None)
        return {topic: topic_id for topic, (_, topic_id) in self._known.items()}


def _signatures(
    topology: Topology, offsets: Offsets, wanted: frozenset[str]
) -> dict[str, Signature]:
    sums = [topology.per_topic(values) for values in (offsets.end, offsets.start, offsets.epoch)]
    columns = (topology.counts.tolist(), *(column.tolist() for column in sums))
    return {
        topic: signature
        for topic, signature in zip(topology.topics, zip(*columns, strict=True), strict=True)
        if topic in wanted
    }
