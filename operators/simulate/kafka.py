"""The physics of a simulated Kafka cluster: all metrics follow from messages produced.

Counts of messages are whole numbers and the source of truth; rates are counts divided by the
interval. Each function's docstring is the exact formula of the metrics that it returns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC, EntityType, Origin
from operators.simulate import presets
from operators.simulate.columns import Columns
from operators.simulate.consumption import Consumed, Consumption, age, largest_partition
from operators.simulate.local_time import HOUR
from operators.simulate.noise import Floats, Ints, Lanes, draws, drift, key_of, lanes, phase
from operators.simulate.placement import Placement
from operators.simulate.spec import ShardSpec, pattern_factor

STRAY = 2 * HOUR
"""Time in which a topic's own level wanders from one random point to the next."""

ERRORS = 0.0005
"""Share of produce requests that fail on an ordinary day."""

BATCH = 100
"""Messages in a produce or fetch request."""

FLUSH = 10_000
"""Messages between two log flushes, the value of Kafka's sample broker configuration."""

P99 = 4.605170185988091
"""99th percentile of an exponential distribution of mean 1: ln 100."""


class KafkaCluster:
    """One simulated Kafka cluster: its constants, its state, and the step over a block."""

    def __init__(self, spec: ShardSpec, account_id: int | None, origin: Origin) -> None:
        topology, settings = spec.topology, spec.settings
        self._spec = spec
        self._topics, self._brokers = len(topology.topics), len(topology.brokers)
        self._level = np.array([t.messages for t in topology.topics])
        self._size = np.array([t.message_size for t in topology.topics], np.int64)[:, None]
        self._partitions = np.array([t.partitions for t in topology.topics], np.int64)
        self._replicas = np.array([t.replication_factor for t in topology.topics], np.int64)
        self._placement = Placement(topology, settings.skew, key_of(spec.key, "placement"))
        self._consumption = Consumption(topology)
        self._controller = np.zeros((self._brokers, 1))
        self._controller[:1] = 1.0
        self._nominal = self._nominal_load()
        checks = max(1, round(settings.retention * 1000 / HOUR))
        self._checks = checks
        self._end = np.rint(self._level * settings.retention).astype(np.int64)
        self._retained = self._end.copy()
        self._columns = self._make_columns(account_id, origin)

    # State: whole numbers of the topics and of the pairs of groups and topics.

    def state(self) -> tuple[bytes, ...]:
        """The arrays that the next block goes on from, as bytes."""
        pairs = self._consumption
        arrays = (self._end, self._retained, pairs.backlog, pairs.uncommitted)
        return tuple(a.tobytes() for a in arrays)

    def restore(self, state: tuple[bytes, ...]) -> None:
        """Go on from a `state`."""
        end, retained, backlog, uncommitted = (np.frombuffer(b, np.int64).copy() for b in state)
        self._end, self._retained = end, retained
        self._consumption.backlog, self._consumption.uncommitted = backlog, uncommitted

    def step(self, times: Ints, interval: int) -> list[pa.RecordBatch]:
        """Samples at consecutive `times` (ms), `interval` ms apart; one batch an entity type."""
        seconds = interval / 1000
        drawn = draws(
            self._spec.key, int(times[0]) // interval, len(times), self._topics + self._brokers
        )
        of_topics, of_brokers = lanes(drawn[:, : self._topics]), lanes(drawn[:, self._topics :])
        expected = self._expected(times)
        messages = self._messages(expected, of_topics, seconds)
        failed = self._failed(messages, of_topics)
        lag_before = self._consumption.lag
        consumed = self._consumption.advance(messages, of_topics[:, :, 3], seconds)
        topics = self._topic_metrics(times, interval, messages, failed, consumed)
        groups = self._group_metrics(expected, topics, consumed, lag_before, seconds)
        out = self._consumption.by_topic.of(consumed.out)
        brokers = self._broker_metrics(times, messages, out, of_brokers, seconds)
        cluster = self._cluster_metrics(messages, failed, groups, seconds)
        made = ((CLUSTER, cluster), (BROKER, brokers), (TOPIC, topics), (CONSUMER_GROUP, groups))
        return [
            self._columns[t].batch(times, metrics, None)
            for t, metrics in made
            if self._columns[t].count
        ]

    def _expected(self, times: Ints) -> Floats:
        """Messages/s that topics expect: level · pattern · (1 + noise/2 · drift).

        `drift` in [-1, 1] is the topic's own slow curve. Shape: (topics, ticks).
        """
        factor = pattern_factor(self._spec, times)
        share, half = phase(times, STRAY), self._spec.settings.noise / 2
        expected = np.empty((self._topics, len(times)))
        key = key_of(self._spec.key, "drift")
        for span, low, high in drift(key, self._topics, times, STRAY):
            before, after = self._level * (1 + half * low), self._level * (1 + half * high)
            rest = factor[span] * (1 - share[span])
            np.multiply(before[:, None], rest, out=expected[:, span])
            expected[:, span] += after[:, None] * (factor[span] * share[span])
        return expected

    def _messages(self, expected: Floats, uniform: Lanes, seconds: float) -> Ints:
        """Messages in the interval: ⌊expected · seconds · (1 + noise/2 · (2u₀ − 1)) + u₁⌋.

        The second random number rounds, so that low rates keep their mean.
        """
        half = self._spec.settings.noise / 2
        count = uniform[:, :, 0] * (2 * half * seconds / 65536)
        count += (1 - half) * seconds
        count *= expected
        count += uniform[:, :, 1] * (1 / 65536)
        return count.astype(np.int64)

    def _failed(self, messages: Ints, uniform: Lanes) -> Ints:
        """Messages that were refused: ⌊messages · errors · (u₂ + ½) + u₁⌋."""
        count = uniform[:, :, 2] * (ERRORS / 65536)
        count += ERRORS / 2
        count *= messages
        count += uniform[:, :, 1] * (1 / 65536)
        return count.astype(np.int64)

    def _topic_metrics(
        self, times: Ints, interval: int, messages: Ints, failed: Ints, consumed: Consumed
    ) -> dict[str, Any]:
        """Metrics of topics.

        messagesIn = messages / s, messagesOut = commits of its groups / s, bytes = messages ·
        message size, offset = Σ messages, consumerLag = Σ lag of its groups, errorRate =
        100 · failed / (messages + failed), diskSize = retained · message size · replicas.
        """
        seconds = interval / 1000
        out = self._consumption.by_topic.of(consumed.out)
        offset = np.cumsum(messages, axis=1)
        retained = self._retain(offset, times, interval)
        offset += self._end[:, None]
        self._end = offset[:, -1].copy()
        return {
            "topic.messagesInPerSecond": messages / seconds,
            "topic.messagesOutPerSecond": out / seconds,
            "topic.bytesInPerSecond": messages * self._size / seconds,
            "topic.bytesOutPerSecond": out * self._size / seconds,
            "topic.offset": offset,
            "topic.retainedMessages": retained,
            "topic.diskSize": retained * (self._size * self._replicas[:, None]),
            "topic.consumerLag": self._consumption.by_topic.of(consumed.lag),
            "topic.errorRate": 100 * failed / np.maximum(messages + failed, 1),
        }

    def _retain(self, added: Ints, times: Ints, interval: int) -> Ints:
        """Retained messages: every full hour the oldest leave, 1 / (retention in hours) of all."""
        retained = added + self._retained[:, None]
        checks = times // HOUR - (times - interval) // HOUR
        gone = np.zeros(self._topics, np.int64)
        begin = 0
        for tick in np.flatnonzero(checks).tolist():
            retained[:, begin:tick] -= gone[:, None]
            due = min(int(checks[tick]), self._checks)
            gone += (retained[:, tick] - gone) * due // self._checks
            begin = tick
        retained[:, begin:] -= gone[:, None]
        self._retained = retained[:, -1].copy()
        return retained

    def _group_metrics(
        self,
        expected: Floats,
        topics: dict[str, Any],
        consumed: Consumed,
        lag_before: Ints,
        seconds: float,
    ) -> dict[str, Any]:
        """Metrics of consumer groups.

        totalLag = Σ lag, maxLag = the most that a partition has, lagSeconds = the greatest
        lag / expected arrivals, lagTrend = growth of totalLag / s, messagesConsumed = Σ commits
        / s, committedOffset = Σ (end offset − lag).
        """
        pairs = self._consumption
        total = pairs.by_group.sorted(consumed.lag)
        before = pairs.by_group.sorted(lag_before[:, None])
        fullest = largest_partition(consumed.lag, self._placement.largest[pairs.topic])
        end = topics["topic.offset"].take(pairs.topic, axis=0)
        ages = age(consumed.lag, expected.take(pairs.topic, axis=0))
        return {
            "consumerGroup.totalLag": total,
            "consumerGroup.maxLag": pairs.by_group.sorted(fullest, np.maximum),
            "consumerGroup.lagSeconds": pairs.by_group.sorted(ages, np.maximum),
            "consumerGroup.lagTrend": np.diff(total, axis=1, prepend=before) / seconds,
            "consumerGroup.messagesConsumedPerSecond": pairs.by_group.sorted(consumed.out)
            / seconds,
            "consumerGroup.committedOffset": pairs.by_group.sorted(end) - total,
        }

    def _broker_metrics(
        self, times: Ints, messages: Ints, out: Ints, uniform: Lanes, seconds: float
    ) -> dict[str, Any]:
        """Metrics of brokers, from the traffic of the partitions that they lead.

        IOIn, IOOut = bytes of led partitions / s; load = IOIn + IOOut + replicated, where
        replicated is the broker's share of replicas of all replication traffic;
        cpu = 10 + 35 · load / ordinary load (+ 10 on the controller) ± 2;
        time of a request = 15 ms · (1 − 0.45) / (1 − cpu) ± 10 % (+ 5 ms on the controller), as
        a queue's time grows; produce 1 ×, fetch 0.8 ×, metadata 0.2 × that, 99th percentile
        ln 100 × the mean; handlerIdle = 100 − 0.9 · cpu;
        memory = 60 ± 8 slowly (+ 5 on the controller) ± 1.
        """
        made = self._placement.led(messages)
        arrived = self._placement.led(messages * self._size) / seconds
        fetched = self._placement.led(out * self._size) / seconds
        load = arrived + fetched + self._replicated(messages * self._size) / seconds
        cpu = load * (35 / self._nominal)
        cpu += uniform[:, :, 0] * (4 / 65536) + (8 + presets.CONTROLLER_CPU * self._controller)
        cpu = np.clip(cpu, 0, 100, out=cpu)
        time = (100 - presets.CPU) * presets.LATENCY / (100 - np.minimum(cpu, 98))
        time *= uniform[:, :, 1] * (0.2 / 65536) + 0.9
        time += presets.CONTROLLER_LATENCY * self._controller
        rate = made / seconds
        failures = rate * (uniform[:, :, 3] * (ERRORS / BATCH / 65536) + ERRORS / BATCH / 2)
        return {
            "broker.messagesInPerSecond": rate,
            "broker.IOInPerSecond": arrived,
            "broker.IOOutPerSecond": fetched,
            "broker.logFlushPerSecond": rate / FLUSH,
            "request.produceRequestsFailedPerSecond": failures,
            "request.clientFetchesFailedPerSecond": failures * 0.1,
            "request.avgTimeFetch": time * 0.8,
            "request.fetchTime99Percentile": time * (0.8 * P99),
            "request.avgTimeMetadata": time * 0.2,
            "request.avgTimeProduceRequest": time,
            "request.produceTime99Percentile": time * P99,
            "request.handlerIdle": 100 - 0.9 * cpu,
            "broker.cpuUsage": cpu,
            "broker.memoryUsage": self._memory(times, uniform),
        }

    def _memory(self, times: Ints, uniform: Lanes) -> Floats:
        memory = uniform[:, :, 2] * (2 / 65536) + (
            presets.MEMORY - 1 + presets.CONTROLLER_MEMORY * self._controller
        )
        share = phase(times, STRAY)
        key = key_of(self._spec.key, "memory")
        for span, low, high in drift(key, self._brokers, times, STRAY):
            memory[:, span] += 8 * (low[:, None] * (1 - share[span]) + high[:, None] * share[span])
        np.clip(memory, 0, 100, out=memory)
        return memory

    def _replicated(self, arrived: Ints) -> Ints:
        """Bytes that brokers copy from leaders: their share of all copies, by replicas held."""
        followers = self._placement.replicas - self._placement.leaders
        copied = ((self._replicas - 1)[:, None] * arrived).sum(axis=0)
        shares: Ints = followers[:, None] * copied // max(int(followers.sum()), 1)
        return shares

    def _nominal_load(self) -> Floats:
        """The load in bytes/s at which a broker's processor is as the preset says.

        Half its own expected load and half the brokers' mean: busy brokers are bigger ones.
        """
        arrived = np.rint(self._level).astype(np.int64)[:, None] * self._size
        load = 2 * self._placement.led(arrived) + self._replicated(arrived)
        nominal: Floats = np.maximum((load + load.sum() // len(load)) / 2, 1.0)
        return nominal

    def _cluster_metrics(
        self, messages: Ints, failed: Ints, groups: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        """Metrics of the cluster: sums of its topics' and groups'.

        errorRate = 100 · Σ failed / Σ (messages + failed), availability = 100 · partitions with
        a leader / partitions, healthScore = min(100, 0.2 · max(0, 100 − 10 · errorRate) +
        0.8 · availability).
        """
        total, refused = messages.sum(axis=0), failed.sum(axis=0)
        errors = 100 * refused / np.maximum(total + refused, 1)
        score = 0.2 * np.maximum(0, 100 - 10 * errors) + 80.0
        return {
            "cluster.totalLag": groups["consumerGroup.totalLag"].sum(axis=0),
            "cluster.messagesInPerSecond": total / seconds,
            "cluster.bytesInPerSecond": (messages * self._size).sum(axis=0) / seconds,
            "cluster.errorRate": errors,
            "cluster.healthScore": np.minimum(100.0, score),
        }

    def _make_columns(self, account_id: int | None, origin: Origin) -> dict[EntityType, Columns]:
        topology, place = self._spec.topology, self._placement
        topics = [t.name for t in topology.topics]
        groups = [g.name for g in topology.groups]
        pairs = self._consumption
        assigned = pairs.by_group.sorted(self._partitions[pairs.topic][:, None])[:, 0]
        zeros: dict[EntityType, Iterator[str]] = {
            CLUSTER: iter(("cluster.offlinePartitionsCount", "cluster.underReplicatedPartitions")),
            BROKER: iter(
                (
                    "net.bytesRejectedPerSecond",
                    "replication.unreplicatedPartitions",
                    "replication.isrShrinksPerSecond",
                    "replication.isrExpandsPerSecond",
                    "replication.leaderElectionPerSecond",
                    "replication.uncleanLeaderElectionPerSecond",
                )
            ),
            TOPIC: iter(
                (
                    "topic.underReplicatedPartitions",
                    "topic.offlinePartitions",
                    "topic.partitionsWithNonPreferredLeader",
                )
            ),
            CONSUMER_GROUP: iter(("consumerGroup.membershipChanges",)),
        }
        constants: dict[EntityType, dict[str, Any]] = {
            CLUSTER: {
                "cluster.activeBrokerCount": self._brokers,
                "cluster.globalTopicCount": self._topics,
                "cluster.globalPartitionCount": int(self._partitions.sum()),
                "cluster.consumerGroupCount": len(groups),
                "cluster.availability": 100.0,
            },
            BROKER: {
                "broker.partitionCount": place.replicas,
                "broker.leaderCount": place.leaders,
                "broker.isController": self._controller[:, 0].astype(np.int8),
            },
            TOPIC: {
                "topic.partitionCount": self._partitions,
                "topic.replicationFactor": self._replicas,
                "topic.respondsToMetadataRequests": 1,
            },
            CONSUMER_GROUP: {
                "consumerGroup.activeConsumers": [g.consumers for g in topology.groups],
                "consumerGroup.assignedPartitions": assigned,
                "consumerGroup.state": "Stable",
                "consumerGroup.type": "classic",
                "consumerGroup.lagMethod": "simulated",
            },
        }
        parts: dict[EntityType, list[str | None]] = {
            CLUSTER: [None],
            BROKER: [f"broker-{b}" for b in topology.brokers],
            TOPIC: list(topics),
            CONSUMER_GROUP: list(groups),
        }
        identity: dict[EntityType, dict[str, Any]] = {
            CLUSTER: {},
            BROKER: {"broker_id": list(topology.brokers)},
            TOPIC: {"topic": topics},
            CONSUMER_GROUP: {"consumer_group": groups},
        }
        return {
            t: Columns(
                t,
                self._spec,
                account_id,
                origin,
                parts[t],
                identity[t],
                {**dict.fromkeys(zeros[t], 0), **constants[t]},
            )
            for t in (CLUSTER, BROKER, TOPIC, CONSUMER_GROUP)
        }
