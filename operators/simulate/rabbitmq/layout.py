"""Where a simulated cluster's queues are: their types, leaders and members."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Ints
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers
from operators.simulate.anomalies.relations import Relations, Replicas
from operators.simulate.noise import (
    hashed,
    key_of,
)
from operators.simulate.spec import ShardSpec

MEMBERS = 3
"""Nodes that hold a quorum queue or a stream, where there are so many: RabbitMQ's default."""

CLASSIC, QUORUM, STREAM = ("classic", "quorum", "stream")


@dataclass(frozen=True, slots=True)
class QueueLayout:
    """By place: of which type queues are, and on which nodes each is."""

    types: tuple[str, ...]
    members: Ints
    """Nodes of each queue, the one that leads on an ordinary day first; shape (queues, members)."""
    there: Any
    """Which of `members` are: a classic queue is on its first alone."""
    nodes: int
    dead_letters_to: Ints
    """Places of the queues that dead letters of each go to; -1 where there is none."""

    @classmethod
    def of(cls, spec: ShardSpec, *, streams: bool = True) -> "QueueLayout":
        """Leaders go round the nodes; types are random by the seed where none is said.

        Without `streams` no queue is one by chance.
        """
        queues, nodes = spec.topology.queues, len(spec.topology.nodes)
        places = np.arange(len(queues))
        chance = hashed(key_of(spec.key, "quorum"), places)
        quorum = chance < spec.settings.quorum_queues
        stream = streams & (chance >= 1 - spec.settings.stream_queues)
        drawn = np.where(quorum, QUORUM, np.where(stream, STREAM, CLASSIC))
        types = tuple(queue.type or str(type_) for queue, type_ in zip(queues, drawn, strict=True))
        size = min(MEMBERS, nodes)
        members = (places[:, None] + np.arange(size)) % nodes
        replicated = np.array([type_ != CLASSIC for type_ in types])
        there = replicated[:, None] | (np.arange(size) == 0)
        to = [
            -1 if queue.dead_letters_to is None or type_ == STREAM else queue.dead_letters_to
            for queue, type_ in zip(queues, types, strict=True)
        ]
        return cls(types, members, there, nodes, np.array(to, np.int64))

    def which(self, type_: str) -> Any:
        """Which queues are of a type; shape (queues, 1)."""
        return np.array([of == type_ for of in self.types])[:, None]

    @property
    def relations(self) -> Relations:
        """Who is touched by whom: a queue reads itself, and is a partition of itself on its nodes."""
        queue, member = np.nonzero(self.there)
        themselves = np.arange(len(self.types))
        replicas = Replicas(
            partition=queue,
            topic=queue,
            broker=self.members[queue, member],
            leads=member == 0,
            share=np.ones(len(queue)),
        )
        return Relations(themselves, themselves, self.nodes, replicas)

    def at(self, down: Any) -> "QueueStanding":
        """Who leads while nodes are `down`, shape (nodes, ticks or 1)."""
        if not down.any():
            whole = self.there.sum(axis=1)[:, None]
            return QueueStanding(self.members[:, :1], whole, np.zeros_like(whole, np.bool_))
        up = ~down[self.members] & self.there[:, :, None]
        online = up.sum(axis=1)
        needed = self.there.sum(axis=1)[:, None] // 2 + 1
        first = up.argmax(axis=1)
        leader = np.take_along_axis(self.members, first, axis=1)
        down_queues = online < needed
        return QueueStanding(
            np.where(down_queues, self.members[:, :1], leader), online, down_queues
        )


@dataclass(frozen=True, slots=True)
class QueueStanding:
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


def cut_off(levers: Levers, down: Any) -> Any:
    """Which nodes are up and see no other; to these they are `down`, shape (nodes, ticks)."""
    cut = np.zeros_like(down)
    for pull in levers.of(Lever.CUT):
        cut[pull.entities, pull.span] = True
    return cut & down


def by_node(values: Ints, leader: Ints, nodes: Iterable[int]) -> Ints:
    """Sums of queues' values, shape (queues, ticks), by the node that leads them."""
    return np.array([np.where(leader == node, values, 0).sum(axis=0) for node in nodes])
