"""Where a simulated cluster's queues are: their types, leaders and members."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers
from operators.simulate.anomalies.relations import Relations, Replicas
from operators.simulate.noise import Ints, hashed, key_of
from operators.simulate.spec import ShardSpec

MEMBERS = 3
"""Nodes that hold a quorum queue, where there are so many: RabbitMQ's default."""


@dataclass(frozen=True, slots=True)
class Layout:
    """By place: which queues are quorum queues, and on which nodes each is."""

    quorum: Any
    """Whether it is a quorum queue; the others are classic."""
    members: Ints
    """Nodes of each queue, the one that leads on an ordinary day first; shape (queues, members)."""
    there: Any
    """Which of `members` are: a classic queue is on its first alone."""
    nodes: int

    @classmethod
    def of(cls, spec: ShardSpec) -> "Layout":
        """Leaders go round the nodes; which queues are quorum queues is random by the seed."""
        queues, nodes = len(spec.topology.queues), len(spec.topology.nodes)
        places = np.arange(queues)
        quorum = hashed(key_of(spec.key, "quorum"), places) < spec.settings.quorum_queues
        said = [queue.quorum for queue in spec.topology.queues]
        quorum = np.array(
            [q if told is None else told for q, told in zip(quorum, said, strict=True)]
        )
        size = min(MEMBERS, nodes)
        members = (places[:, None] + np.arange(size)) % nodes
        there = quorum[:, None] | (np.arange(size) == 0)
        return cls(quorum, members, there, nodes)

    @property
    def relations(self) -> Relations:
        """Who is touched by whom: a queue reads itself, and is a partition of itself on its nodes."""
        queue, member = np.nonzero(self.there)
        themselves = np.arange(len(self.quorum))
        replicas = Replicas(
            partition=queue,
            topic=queue,
            broker=self.members[queue, member],
            leads=member == 0,
            share=np.ones(len(queue)),
        )
        return Relations(themselves, themselves, self.nodes, replicas)

    def at(self, down: Any) -> "Standing":
        """Who leads while nodes are `down`, shape (nodes, ticks or 1)."""
        if not down.any():
            whole = self.there.sum(axis=1)[:, None]
            return Standing(self.members[:, :1], whole, np.zeros_like(whole, np.bool_))
        up = ~down[self.members] & self.there[:, :, None]
        online = up.sum(axis=1)
        needed = self.there.sum(axis=1)[:, None] // 2 + 1
        first = up.argmax(axis=1)
        leader = np.take_along_axis(self.members, first, axis=1)
        down_queues = online < needed
        return Standing(np.where(down_queues, self.members[:, :1], leader), online, down_queues)


@dataclass(frozen=True, slots=True)
class Standing:
    """How queues stand; arrays of the shape (queues, ticks or 1)."""

    leader: Ints
    """Who leads it, or led it last."""
    online: Ints
    """Members that are up."""
    down: Any
    """Whether nobody can use it: its node is down, or most of its members are."""


def down_nodes(levers: Levers, nodes: int) -> Any:
    """Which nodes are down, shape (nodes, ticks); one that recovers is up."""
    down = np.zeros((nodes, levers.ticks), np.bool_)
    for pull in levers.of(Lever.DOWN):
        down[pull.entities, pull.span] |= ~pull.recovering
    return down


def by_node(values: Ints, leader: Ints, nodes: Iterable[int]) -> Ints:
    """Sums of queues' values, shape (queues, ticks), by the node that leads them."""
    return np.array([np.where(leader == node, values, 0).sum(axis=0) for node in nodes])
