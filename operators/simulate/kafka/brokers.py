"""Metrics of simulated brokers, from the traffic of the partitions that they lead."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.schema.arrow import from_numpy
from operators.schema.guid import broker_name
from operators.schema.metrics import BROKER
from operators.simulate import presets
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers
from operators.simulate.block import Block
from operators.simulate.kafka.layout import Layout
from operators.simulate.kafka.placement import Placement
from operators.simulate.kafka.topics import Flow
from operators.simulate.noise import (
    Lanes,
    drift,
    key_of,
    phase,
)
from operators.simulate.topology import Topology
from operators.simulate.traffic import ERRORS, WANDER

BATCH = 100
"""Messages in a produce or fetch request."""

FLUSH = 10_000
"""Messages between two log flushes, the value of Kafka's sample broker configuration."""

P99 = 4.605170185988091
"""99th percentile of an exponential distribution of mean 1: ln 100."""

IDLE_CPU = 10.0
"""Percent of a processor that a broker uses without traffic."""

BUSIEST = 98.0
"""Percent of the processor above which request times grow no more."""

YOUNG = 0.25
"""Share of the heap that fills up between two collections of garbage."""

BEHIND = 30.0
"""Seconds behind which a replica is out of sync: replica.lag.time.max.ms."""

OTHERS = 2.0
"""Percent of its machine's processors that others than the broker use."""

FROM_PROTOCOL = frozenset({"broker.partitionCount", "broker.leaderCount", "broker.host"})
"""What is known of a dead broker; its page, from which the rest comes, does not answer. A simulated
one has no host."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a block brings to brokers; arrays have the shape (brokers, ticks)."""

    messages: Floats
    """Messages appended."""
    bytes_in: Floats
    """Their bytes."""
    bytes_out: Floats
    """Bytes that groups fetched."""
    messages_out: Floats
    """Messages that groups fetched."""
    failed: Floats | None
    """Messages that anomalies made fail."""
    bytes_rejected: Floats | None
    """Bytes that were refused."""


def load_of(flow: Flow, layout: Layout, out: Ints) -> Load:
    """What the topics' traffic brings to the brokers that lead them; `out` are commits."""
    refused = [c for c in layout.corrections if c.pull.effect.lever is Lever.REFUSED]
    failed = None if flow.erring is None else layout.led(flow.erring)
    rejected = None
    if refused:
        shape = (layout.last.partitions.brokers, layout.ticks)
        rejected = np.zeros(shape)
        failed = np.zeros(shape) if failed is None else failed
        for c in refused:
            rejected[c.broker, c.ticks] += c.of(flow.size)
            failed[c.broker, c.ticks] += c.messages
    return Load(
        messages=layout.appended(flow.messages),
        bytes_in=layout.appended(flow.messages, flow.size),
        bytes_out=layout.led(out * flow.size),
        messages_out=layout.led(out),
        failed=failed,
        bytes_rejected=rejected,
    )


class Brokers:
    """The brokers of a cluster: what is ordinary for them, and their metrics."""

    def __init__(self, topology: Topology, ordinary: Placement, key: int) -> None:
        self.count = len(topology.brokers)
        self.names = [broker_name(b) for b in topology.brokers]
        self._ids = list(topology.brokers)
        self._ordinary = ordinary
        self._key = key_of(key, "brokers")
        level = np.array([round(t.messages * t.message_size) for t in topology.topics], np.int64)
        copies = np.array([t.replication_factor for t in topology.topics], np.int64)
        arrived = ordinary.led(level[:, None])
        copied = ordinary.led((level * copies)[:, None])
        self._copies: Floats = copied / np.maximum(arrived, 1)
        """Replicas of what each broker leads, a mean; shape (brokers, 1)."""
        load = copied + arrived
        self._ordinary_load = np.maximum((load + load.mean()) / 2, 1.0)

    def metrics(
        self, block: Block, load: Load, layout: Layout, uniform: Lanes, levers: Levers
    ) -> dict[str, Any]:
        """Metrics of brokers.

        IOIn, IOOut = bytes of led partitions / s; load = IOIn · replicas + IOOut, for a leader
        sends its followers what it takes in. Ordinary load is that at a factor of 1, half the
        broker's own and half the brokers' mean, for busy brokers are bigger ones.
        cpu = 10 + 35 · load / ordinary load (+ 10 on the controller) ± 2;
        time of a request = 15 ms · (1 − 0.45) / (1 − cpu) ± 10 % (+ 5 ms on the controller), as
        a queue's time grows; produce 1 ×, fetch 0.8 ×, metadata 0.2 × that, 99th percentile
        ln 100 × the mean; handlerIdle = 100 − 0.9 · cpu;
        memory = 60 ± 8 slowly (+ 5 on the controller) ± 1; logFlush = messages / 10,000;
        produceRequestsFailed = (messages · errors · (u₃ + ½) + failed) / 100 messages a request,
        clientFetchesFailed a tenth of it; isrShrinks and isrExpands = growth and fall of the
        under-replicated partitions that it leads / s.
        Requests / s: produce = messages / 100, fetchConsumer = fetched messages / 100,
        fetchFollower = messages · (replicas − 1) / 100, fetch = both; those in a purgatory are
        requests / s · their time; queueSize = ⌊u² / (1 − u)⌋ with u = 1 − idle share.
        heapUsed = memory · heap, collections = bytes in and out / s / a quarter of the heap;
        uptime since a restart each 30 days; systemCpu = cpu + 2, systemLoad = 8 · systemCpu.
        """
        seconds = block.seconds
        control = self._control(layout)
        rate = load.messages / seconds
        cpu = self._cpu(load, seconds, uniform, control, levers)
        time = self._request_time(cpu, uniform, control, levers)
        failures = rate * (uniform[:, :, 3] * (ERRORS / BATCH / 65536) + ERRORS / BATCH / 2)
        if load.failed is not None:
            failures += load.failed / (BATCH * seconds)
        bytes_in, bytes_out = load.bytes_in / seconds, load.bytes_out / seconds
        memory = self._memory(block, uniform, control, levers)
        metrics = {
            "broker.messagesInPerSecond": rate,
            "broker.IOInPerSecond": bytes_in,
            "broker.IOOutPerSecond": bytes_out,
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
            "broker.memoryUsage": memory,
            "broker.heapUsed": (memory * (presets.HEAP / 100)).astype(np.int64),
            "broker.gcCollectionsPerSecond": (bytes_in + bytes_out) / (YOUNG * presets.HEAP),
            "broker.uptime": self._uptime(block),
            **self._requests(rate, load.messages_out / seconds, time, cpu),
        }
        if load.bytes_rejected is not None:
            metrics["net.bytesRejectedPerSecond"] = load.bytes_rejected / seconds
        return metrics

    def _requests(self, rate: Floats, out: Floats, time: Floats, cpu: Floats) -> dict[str, Any]:
        """Requests a second, those that wait, and what follows from the processor's use."""
        produce, consumer = rate / BATCH, out / BATCH
        follower = produce * np.maximum(self._copies - 1, 0)
        fetch = consumer + follower
        busy = np.minimum(0.009 * cpu, BUSIEST / 100)
        system = np.minimum(cpu + OTHERS, 100)
        return {
            "request.produceRequestsPerSecond": produce,
            "request.fetchConsumerRequestsPerSecond": consumer,
            "request.fetchFollowerRequestsPerSecond": follower,
            "request.fetchRequestsPerSecond": fetch,
            "request.avgTimeFetchConsumer": time * 0.8,
            "request.avgTimeFetchFollower": time * 0.8,
            "request.fetchConsumerTime99Percentile": time * (0.8 * P99),
            "request.fetchFollowerTime99Percentile": time * (0.8 * P99),
            "request.queueSize": (busy**2 / (1 - busy)).astype(np.int64),
            "request.producePurgatorySize": (produce * time * 0.001).astype(np.int64),
            "request.fetchPurgatorySize": (fetch * time * 0.0008).astype(np.int64),
            "broker.systemCpuUsage": system,
            "broker.systemLoad": system * (presets.PROCESSORS / 100),
        }

    def _uptime(self, block: Block) -> Floats:
        """Seconds since each broker was restarted, one after the other."""
        since = np.arange(self.count)[:, None] * (presets.RESTARTED / max(self.count, 1))
        uptime: Floats = (block.times[None, :] / 1000 + since) % presets.RESTARTED
        return uptime

    def trouble(
        self, block: Block, load: Load, layout: Layout, before: Layout, levers: Levers
    ) -> dict[str, Any]:
        """Metrics of brokers while some are down or behind; `before` is the tick before's layout.

        maxLag = share of a broker's replicas that are behind · the messages that a partition of
        the cluster gets in the 30 s after which a replica is out of sync.
        leaderElection = partitions with another leader than at the tick before / s, on the
        controller; so uncleanLeaderElection, of them the share that the anomaly says.
        """
        under = layout.under_replicated(led=True)
        grown = np.diff(under, axis=1, prepend=before.under_replicated(led=True)[:, -1:])
        controller = layout.controllers() == np.arange(self.count)[:, None]
        elections = layout.elections(before.last) / block.seconds
        share = levers.added(Lever.UNCLEAN, self.count)
        unclean = elections * (0.0 if share is None else share.max(axis=0))
        return {
            "broker.leaderCount": layout.spread("leaders"),
            "broker.isController": controller.astype(np.int8),
            "replication.unreplicatedPartitions": under,
            "replication.underMinIsrPartitions": layout.under_min_in_sync(),
            "replication.maxLag": self._max_lag(load, layout, block.seconds),
            "replication.isrShrinksPerSecond": np.maximum(grown, 0) / block.seconds,
            "replication.isrExpandsPerSecond": np.maximum(-grown, 0) / block.seconds,
            "replication.leaderElectionPerSecond": controller * elections,
            "replication.uncleanLeaderElectionPerSecond": controller * unclean,
        }

    def constants(self) -> dict[str, Any]:
        """What does not change unless an anomaly changes it."""
        return {
            "broker_id": self._ids,
            "net.bytesRejectedPerSecond": 0.0,
            "replication.unreplicatedPartitions": 0,
            "replication.underMinIsrPartitions": 0,
            "replication.maxLag": 0,
            "replication.isrShrinksPerSecond": 0.0,
            "replication.isrExpandsPerSecond": 0.0,
            "replication.leaderElectionPerSecond": 0.0,
            "replication.uncleanLeaderElectionPerSecond": 0.0,
            "broker.partitionCount": self._ordinary.partitions.held,
            "broker.leaderCount": self._ordinary.leaders,
            "broker.isController": [int(place == 0) for place in range(self.count)],
            "broker.heapMax": presets.HEAP,
            "broker.threadCount": presets.THREADS,
        }

    def _max_lag(self, load: Load, layout: Layout, seconds: float) -> Ints:
        late = layout.in_trouble("returned") | layout.in_trouble("behind")
        partitions = max(len(layout.last.partitions.topic), 1)
        arriving = load.messages.sum(axis=0) * (BEHIND / seconds / partitions)
        lag: Ints = np.where(late, np.ceil(arriving * layout.catching), 0).astype(np.int64)
        return lag

    def _control(self, layout: Layout) -> Floats:
        """1 for the active controller, shape (brokers, ticks or 1)."""
        places = np.arange(self.count)[:, None]
        active: Floats = (places == (0 if layout.calm else layout.controllers())) * 1.0
        return active

    def _cpu(
        self, load: Load, seconds: float, uniform: Lanes, control: Floats, levers: Levers
    ) -> Floats:
        work = load.bytes_in * self._copies
        work += load.bytes_out
        work *= (presets.CPU - IDLE_CPU) / seconds / self._ordinary_load
        work += uniform[:, :, 0] * (4 / 65536)
        work += IDLE_CPU - 2 + presets.CONTROLLER_CPU * control
        return _percent(work, levers.added(Lever.CPU, self.count))

    def _request_time(self, cpu: Floats, uniform: Lanes, control: Floats, levers: Levers) -> Floats:
        time: Floats = (100 - presets.CPU) * presets.LATENCY / (100 - np.minimum(cpu, BUSIEST))
        time *= uniform[:, :, 1] * (0.2 / 65536) + 0.9
        time += presets.CONTROLLER_LATENCY * control
        more = levers.added(Lever.LATENCY, self.count)
        return time if more is None else time + more

    def _memory(self, block: Block, uniform: Lanes, control: Floats, levers: Levers) -> Floats:
        memory = np.multiply(uniform[:, :, 2], 2 / 65536, dtype=np.float64)
        memory += presets.MEMORY - 1 + presets.CONTROLLER_MEMORY * control
        share = phase(block.times, WANDER)
        for span, low, high in drift(self._key, self.count, block.times, WANDER):
            rest = 1 - share[span]
            memory[:, span] += 8 * (low[:, None] * rest + high[:, None] * share[span])
        return _percent(memory, levers.added(Lever.MEMORY, self.count))


def without_dead(metrics: dict[str, Any], constants: dict[str, Any], dead: Any) -> dict[str, Any]:
    """All metrics of brokers, those that a dead one does not report null where it is dead."""
    whole: dict[str, Any] = {}
    flat = dead.reshape(-1)
    for metric in BROKER.metrics:
        values = metrics.get(metric.name)
        if metric.name in FROM_PROTOCOL:
            if values is not None:
                whole[metric.name] = values
        else:
            values = np.full(dead.shape, constants[metric.name]) if values is None else values
            whole[metric.name] = from_numpy(values.reshape(-1), metric.type, flat)
    return whole


def _percent(values: Floats, more: Floats | None) -> Floats:
    if more is not None:
        values = values + more
    return np.clip(values, 0, 100, out=values)
