"""Groups on single topics: the rows that a group's and a topic's lag are the sums of."""

from typing import Any

import numpy as np

from operators.schema.arrays import Ints
from operators.schema.metrics import GROUP_TOPIC
from operators.simulate.anomalies.aftermath import Shaped
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.labels import Labels, paint
from operators.simulate.anomalies.levers import Levers
from operators.simulate.churn import Present
from operators.simulate.consumption import Consumption
from operators.simulate.kafka.groups import OnTopics
from operators.simulate.kafka.prospects import ORDINARY, columns, some
from operators.simulate.spec import ShardSpec


class GroupTopics:
    """The pairs of a group and a topic that have rows: where not all have, the fullest topics'."""

    def __init__(self, spec: ShardSpec, pairs: Consumption) -> None:
        topology = spec.topology
        level = np.array([t.messages for t in topology.topics])[pairs.topic]
        order = np.argsort(-level, kind="stable")[: spec.group_topics]
        self.chosen = np.sort(order)
        """Which pairs they are."""
        self._group, self.topic = pairs.group[self.chosen], pairs.topic[self.chosen]
        self._partitions = np.array([t.partitions for t in topology.topics], np.int64)
        self.names = [
            (topology.groups[group].name, topology.topics[topic].name)
            for group, topic in zip(self._group.tolist(), self.topic.tolist(), strict=True)
        ]

    def metrics(self, on: OnTopics) -> dict[str, Any]:
        """Metrics of a group on a topic.

        totalLag = its lag, maxLag = the most that a partition has by its part of the topic,
        lagSeconds = its age, committedOffset = end offset − lag; activeConsumers = the group's
        members, at most one a partition.
        """
        lag, end = on.lag[self.chosen], on.end[self.chosen]
        members = np.minimum(on.consumers[self._group], self._partitions[self.topic][:, None])
        return {
            "consumerGroup.totalLag": lag,
            "consumerGroup.maxLag": on.fullest[self.chosen],
            "consumerGroup.lagSeconds": on.age[self.chosen],
            "consumerGroup.activeConsumers": np.broadcast_to(members, lag.shape),
            "consumerGroup.committedOffset": end - lag,
            "consumerGroup.endOffset": end,
            **columns(some(on.ahead, self.chosen)),
        }

    def constants(self) -> dict[str, Any]:
        """What does not change."""
        return {
            "consumer_group": [group for group, _ in self.names],
            "topic": [topic for _, topic in self.names],
            **ORDINARY,
        }

    def there(self, present: Present) -> Any:
        """Whether each of these pairs is there."""
        return present.topics[self.topic] & present.groups[self._group]

    def label(self, labels: Labels, levers: Levers, shaped: Shaped) -> None:
        """Mark the rows that anomalies have shaped.

        By a lag, a hot partition, fewer members, or a shorter retention.
        """
        codes = labels.codes(GROUP_TOPIC, len(self.chosen))
        of_pairs = labels.blank(int(self.chosen.max(initial=-1)) + 1)
        kept = shaped.pairs < len(of_pairs)
        of_pairs[shaped.pairs[kept]] = shaped.lag[kept]
        np.maximum(codes, of_pairs[self.chosen], out=codes)
        for lever, owner in (
            (Lever.HOT, self.topic),
            (Lever.CONSUMERS, self._group),
            (Lever.RETENTION, self.topic),
        ):
            for pull in levers.of(lever):
                reached: Ints = np.flatnonzero(np.isin(owner, pull.entities))
                paint(codes, reached, pull.span, labels.code(pull.anomaly.label))
