"""Metrics of simulated nodes of RabbitMQ, and the alarms by which they block publishers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers
from operators.simulate.block import Block
from operators.simulate.noise import (
    drift,
    key_of,
    phase,
)
from operators.simulate.rabbitmq.layout import (
    QueueLayout,
    QueueStanding,
    by_node,
    cut_off,
    down_nodes,
)
from operators.simulate.rabbitmq.queues import Moved
from operators.simulate.spec import ShardSpec
from operators.simulate.traffic import WANDER

MEMORY_LIMIT = 3 << 30
"""Bytes above which a node blocks publishers: 0.4 of a machine's, RabbitMQ's default."""

DISK, DISK_LIMIT = 500 << 30, 2 << 30
"""Bytes of a node's disk, and those that must be free."""

MEMORY = 45.0
"""Percent of the limit that a node uses on an ordinary day."""

DESCRIPTORS, SOCKETS, PROCESSES = 65_536, 58_890, 1_048_576
"""What there may be of them: of sockets nine tenths of the descriptors but 102."""

RESTARTED = 30 * 86_400_000
"""Milliseconds between two restarts of a node, for updates."""


@dataclass(frozen=True, slots=True)
class NodeCondition:
    """How nodes are in a block; arrays of the shape (nodes, ticks)."""

    down: Any
    cut_off: Any
    """Of those that are down: which run on by themselves."""
    memory: Floats
    """Percent of the limit, but for what queues hold."""
    disk: Floats
    """Share of the free disk that is taken by what is no message."""
    memory_alarm: Any
    disk_alarm: Any

    @property
    def alarms(self) -> Ints:
        """How many there are, by tick."""
        count: Ints = self.memory_alarm.sum(axis=0) + self.disk_alarm.sum(axis=0)
        return count


class Nodes:
    """The nodes of a cluster: what is ordinary for them, and their metrics."""

    def __init__(self, spec: ShardSpec, layout: QueueLayout) -> None:
        self.names = list(spec.topology.nodes)
        self._layout = layout
        self._key = key_of(spec.key, "nodes")
        levels = np.array([queue.messages for queue in spec.topology.queues])[:, None]
        leader = layout.members[:, :1]
        self._ordinary = np.maximum(by_node(levels, leader, range(len(self.names))), 1.0)
        """Messages/s of the queues that each leads; shape (nodes, 1)."""

    def condition(self, block: Block, levers: Levers) -> NodeCondition:
        """Memory = 45 % of the limit ± 7 slowly, + what is pulled; an alarm where that is over 100 %.

        Disk: an alarm where less is free than must be. A node that is down has no alarm. What queues
        hold raises none: their processes page it out in time, and the disk is large.
        """
        count = len(self.names)
        down = down_nodes(levers, count)
        memory = np.empty((count, block.ticks))
        share = phase(block.times, WANDER)
        for span, low, high in drift(self._key, count, block.times, WANDER):
            memory[:, span] = low[:, None] * (1 - share[span]) + high[:, None] * share[span]
        memory = MEMORY + 7 * memory
        pulled = levers.added(Lever.MEMORY, count)
        if pulled is not None:
            memory += pulled
        taken = levers.added(Lever.DISK, count)
        disk = np.zeros((count, block.ticks)) if taken is None else np.minimum(taken, 1.0)
        return NodeCondition(
            down,
            cut_off(levers, down),
            memory,
            disk,
            ~down & (memory > 100),
            ~down & (DISK * (1 - disk) < DISK_LIMIT),
        )

    def metrics(
        self, block: Block, condition: NodeCondition, standing: QueueStanding, moved: Moved
    ) -> dict[str, Any]:
        """Columns of nodes, of those that are down all but `node.running` to be left out.

        memory used = that of the condition + the processes of the queues that it leads; disk free =
        (500 GiB − bodies of the messages that it holds) · (1 − what is taken); sockets = a publisher
        and the consumers of each queue that it leads; descriptors = 60 + sockets + 2 a queue;
        processes = 400 + 6 a socket + 3 a queue; run queue = ⌊u² / (1 − u)⌋ with u = 0.1 + 0.35 ·
        messages / the ordinary ones; uptime since a restart each 30 days; partitions seen = all others of
        a node that is cut off, of the others those that are.
        """
        nodes = range(len(self.names))
        shape = moved.depth.shape
        leader = np.broadcast_to(standing.leader, shape)
        used = np.where(standing.down, 0, 1) * np.ones(shape, np.int64)
        led = by_node(used, leader, nodes)
        sockets = by_node((1 + moved.consumers) * used, leader, nodes)
        queued = by_node(moved.memory * used, leader, nodes)
        memory = np.rint(condition.memory * (MEMORY_LIMIT / 100)).astype(np.int64)
        calm = np.minimum(memory + queued, np.maximum(memory, MEMORY_LIMIT - 1))
        bodies = self._held(moved.depth * moved.size)
        free = np.maximum((DISK - bodies) * (1 - condition.disk), 0).astype(np.int64)
        free = np.where(condition.disk_alarm, free, np.maximum(free, DISK_LIMIT))
        rate = by_node(moved.published, leader, nodes) / block.seconds
        busy = np.minimum(0.1 + 0.35 * rate / self._ordinary, 0.95)
        zero = np.zeros_like(led)
        cut = condition.cut_off
        unseen = np.where(cut, len(cut) - 1, cut.sum(axis=0))
        ages = (block.times + (np.arange(len(self.names)) * 7_200_000)[:, None]) % RESTARTED
        return {
            "node.totalMemoryUsedInBytes": calm,
            "node.memoryLimitInBytes": zero + MEMORY_LIMIT,
            "node.hostMemoryAlarm": condition.memory_alarm.astype(np.int8),
            "node.diskSpaceFreeInBytes": free,
            "node.diskSpaceLimitInBytes": zero + DISK_LIMIT,
            "node.diskAlarm": condition.disk_alarm.astype(np.int8),
            "node.fileDescriptorsTotalUsed": np.minimum(60 + sockets + 2 * led, DESCRIPTORS),
            "node.fileDescriptorsLimit": zero + DESCRIPTORS,
            "node.fileDescriptorsUsedSockets": np.minimum(sockets, SOCKETS),
            "node.fileDescriptorsTotalSockets": zero + SOCKETS,
            "node.processesUsed": np.minimum(400 + 6 * sockets + 3 * led, PROCESSES),
            "node.processesLimit": zero + PROCESSES,
            "node.averageErlangProcessesWaiting": (busy**2 / (1 - busy)).astype(np.int64),
            "node.partitionsSeen": unseen,
            "node.uptime": ages / 1000,
        }

    def _held(self, bodies: Ints) -> Ints:
        """Bytes of messages on each node: those of its queues, whoever leads them."""
        held = np.zeros((len(self.names), bodies.shape[1]), np.int64)
        for place in range(self._layout.members.shape[1]):
            there = self._layout.there[:, place]
            np.add.at(held, self._layout.members[there, place], bodies[there])
        return held
