"""Groups' lag by client: members have ranges of each topic's partitions, and what waits in them."""

from typing import Any

import numpy as np

from operators.schema.arrays import Ints
from operators.schema.arrow import from_numpy
from operators.schema.metrics import CONSUMER_GROUP, GROUP_CLIENT
from operators.simulate.anomalies.labels import Labels
from operators.simulate.churn import Present
from operators.simulate.consumption import Consumption
from operators.simulate.kafka.groups import OnTopics
from operators.simulate.kafka.placement import WHOLE, Partitions
from operators.simulate.spec import ShardSpec


class GroupClients:
    """The members of the fullest groups, whole groups of at most `group_clients` in all.

    They are called as Java's consumers are by default, `consumer-<group>-<number>`, and assigned
    ranges: of a topic's P partitions the i-th of n has P div n from i · (P div n) + min(i, P mod n)
    on, and one more where i < P mod n.
    """

    def __init__(self, spec: ShardSpec, pairs: Consumption, table: Partitions) -> None:
        topology = spec.topology
        members = np.array([g.consumers for g in topology.groups], np.int64)
        messages = np.array([t.messages for t in topology.topics])
        level = np.bincount(pairs.group, messages[pairs.topic], len(members))
        order = np.argsort(-level, kind="stable")
        most = spec.settings.group_clients
        fit = np.searchsorted(np.cumsum(members[order]), most, side="right")
        chosen = np.sort(order[:fit])
        self.group = np.repeat(chosen, members[chosen])
        self._number = _within(members[chosen])
        self.names = [
            (name := topology.groups[group].name, f"consumer-{name}-{number + 1}")
            for group, number in zip(self.group.tolist(), self._number.tolist(), strict=True)
        ]
        first_row = np.full(len(members), -1)
        first_row[chosen] = np.cumsum(members[chosen]) - members[chosen]
        mine = np.flatnonzero(first_row[pairs.group] >= 0)
        readers = members[pairs.group[mine]]
        self._pair = np.repeat(mine, readers)
        """Each pair of a group and a topic, as often as the group has members."""
        within = _within(readers)
        self._row = first_row[pairs.group[self._pair]] + within
        self._member = within[:, None]
        topic = pairs.topic[self._pair]
        counts = np.array([t.partitions for t in topology.topics], np.int64)
        self._partitions = counts[topic][:, None]
        self._edges = np.concatenate(([0], np.cumsum(table.parts)))
        """Parts of the traffic before each partition of the cluster."""
        self._start = (np.cumsum(counts) - counts)[topic][:, None]
        self._first = table.largest[topic][:, None]
        self._others = np.maximum(WHOLE - self._first, 1)

    def metrics(self, on: OnTopics) -> dict[str, Any]:
        """TotalLag = Σ lag of its partitions, which sum to the group's.

        Null where a member is away, or has no partition.
        """
        members = on.consumers[self.group[self._row]]
        ticks = on.lag.shape[1]
        low = self._edge(self._member, members)
        high = self._edge(self._member + 1, members)
        lag = self._before(high, on) - self._before(low, on)
        shape = (len(self.group), ticks)
        total, has = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        np.add.at(total, self._row, lag)
        np.add.at(has, self._row, np.broadcast_to(high - low, lag.shape))
        (metric,) = GROUP_CLIENT.metrics
        away = (has == 0).reshape(-1)
        return {metric.name: from_numpy(total.reshape(-1), metric.type, away)}

    def constants(self) -> dict[str, Any]:
        """What does not change."""
        return {
            "consumer_group": [group for group, _ in self.names],
            "client_id": [client for _, client in self.names],
        }

    def there(self, present: Present) -> Any:
        """Whether each of these clients is there."""
        return present.groups[self.group]

    def label(self, labels: Labels, groups: int) -> None:
        """What shaped a group shaped its clients."""
        codes = labels.codes(GROUP_CLIENT, len(self.group))
        codes[:] = labels.codes(CONSUMER_GROUP, groups)[self.group]

    def _edge(self, member: Ints, members: Ints) -> Ints:
        """The partition at which a member's range begins; members that are away have none."""
        count = np.maximum(members, 1)
        each, more = np.divmod(self._partitions, count)
        within = np.minimum(member, count)
        edge: Ints = within * each + np.minimum(within, more)
        return np.where(members > 0, edge, 0)

    def _before(self, edge: Ints, on: OnTopics) -> Ints:
        """Lag of the partitions before this one: as `PartitionLag` splits it."""
        fullest, left = on.fullest[self._pair], (on.lag - on.fullest)[self._pair]
        parts = self._edges[self._start + edge] - self._edges[self._start] - self._first
        lag: Ints = np.where(edge > 0, fullest + left * parts // self._others, 0)
        return lag


def _within(counts: Ints) -> Ints:
    """0, 1, … for each of the counts."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
