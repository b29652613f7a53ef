"""Lag of groups by partition: a group's lag on a topic, split as the topic's traffic is."""

from typing import Any

import numpy as np

from operators.schema.arrays import Ints
from operators.schema.metrics import GROUP_TOPIC, PARTITION_OFFSET
from operators.simulate.anomalies.labels import Labels
from operators.simulate.kafka.group_topics import GroupTopics
from operators.simulate.kafka.groups import OnTopics
from operators.simulate.kafka.placement import WHOLE, Partitions
from operators.simulate.spec import ShardSpec


class PartitionLag:
    """The partitions of the pairs of a group and a topic that have rows, `group_topics` at most.

    Pairs come in the order of their rows, each with all of its topic's partitions.
    """

    def __init__(self, spec: ShardSpec, rows: GroupTopics, table: Partitions) -> None:
        counts = np.array([t.partitions for t in spec.topology.topics], np.int64)
        starts = np.cumsum(counts) - counts
        of_pairs = counts[rows.topic]
        pairs = int(np.searchsorted(np.cumsum(of_pairs), spec.settings.group_topics, side="right"))
        of_pairs = of_pairs[:pairs]
        self._count = len(rows.names)
        self._row = np.repeat(np.arange(pairs), of_pairs)
        self._pair = rows.chosen[self._row]
        within = np.arange(len(self._row)) - np.repeat(np.cumsum(of_pairs) - of_pairs, of_pairs)
        place = starts[rows.topic[self._row]] + within
        edges = np.cumsum(table.parts) - table.parts
        # The fullest partition is the first; the others share what it leaves.
        first = table.largest[rows.topic[self._row]]
        before = edges[place] - edges[place - within] - first
        self._first = (within == 0)[:, None]
        self._low = np.where(within == 0, 0, before)[:, None]
        self._high = self._low + np.where(within == 0, 0, table.parts[place])[:, None]
        self._others = np.maximum(WHOLE - first, 1)[:, None]
        self.names = [
            (*rows.names[row], str(number))
            for row, number in zip(self._row.tolist(), within.tolist(), strict=True)
        ]
        self._numbers = within

    def metrics(self, on: OnTopics) -> dict[str, Any]:
        """Of the fullest: ⌈lag · its part⌉, of others what is left, by their parts."""
        fullest = on.fullest[self._pair]
        left = on.lag[self._pair] - fullest
        shared = left * self._high // self._others - left * self._low // self._others
        return {"consumer.lag": np.where(self._first, fullest, shared)}

    def constants(self) -> dict[str, Any]:
        """What does not change."""
        return {
            "consumer_group": [group for group, _, _ in self.names],
            "topic": [topic for _, topic, _ in self.names],
            "partition": self._numbers,
        }

    def there(self, pairs: Any) -> Any:
        """Whether each of these partitions is there, by whether the rows of the pairs are."""
        return pairs[self._row]

    def label(self, labels: Labels) -> None:
        """What shaped a group's lag on a topic shaped its parts."""
        of_pairs: Ints = labels.codes(GROUP_TOPIC, self._count)
        labels.codes(PARTITION_OFFSET, len(self._row))[:] = of_pairs[self._row]
