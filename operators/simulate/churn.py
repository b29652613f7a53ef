"""Churn: which topics and groups are there, as they come and go over weeks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from operators.schema.arrays import Ints
from operators.schema.metrics import CONSUMER_GROUP, TOPIC, EntityType
from operators.simulate.block import Block
from operators.simulate.local_time import DAY, HOUR
from operators.simulate.noise import (
    hashed,
    key_of,
)
from operators.simulate.topology import Topology

CYCLE = 28 * DAY
"""In every stretch of this length an entity that comes and goes is there for a time."""

SHORTEST, LONGEST = 0.3, 0.9
"""Share of a cycle that it is there, at least and at most."""


@dataclass(frozen=True, slots=True)
class Present:
    """Which topics and groups are there, by their place in the topology."""

    topics: Any
    groups: Any

    @property
    def absent_topics(self) -> frozenset[int]:
        """Places of the topics that are away."""
        return frozenset(np.flatnonzero(~self.topics).tolist())

    def of(self, entity_type: EntityType) -> Any:
        """Whether each entity of a type is there; None where all are, always."""
        return {TOPIC: self.topics, CONSUMER_GROUP: self.groups}.get(entity_type)


class Churn:
    """When topics and groups are there: a pure function of time, in full hours.

    What lasts is there always. The others have cycles of four weeks, each beginning at a time
    of its own; of every cycle they are there for a random share from its beginning.
    """

    def __init__(self, topology: Topology, key: int) -> None:
        self._lasting = Present(
            np.array([t.lasting for t in topology.topics], np.bool_),
            np.array([g.lasting for g in topology.groups], np.bool_),
        )
        self._keys = key_of(key, "presence", TOPIC.name), key_of(key, "presence", "group")
        self.always = bool(self._lasting.topics.all() and self._lasting.groups.all())
        """Whether nothing comes or goes."""

    def at(self, time: int) -> Present:
        """What is there at a time (ms)."""
        masks = [
            lasting | _there(key, len(lasting), np.array([time]))[:, 0]
            for key, lasting in zip(self._keys, self._masks, strict=True)
        ]
        return Present(*masks)

    def split(self, block: Block) -> Iterator[tuple[Block, Present]]:
        """A block in stretches in which nothing comes or goes."""
        changed = np.zeros(block.ticks, np.bool_)
        for key, lasting in zip(self._keys, self._masks, strict=True):
            there = _there(key, len(lasting), block.times)[~lasting]
            changed[1:] |= (there[:, 1:] != there[:, :-1]).any(axis=0)
        edges = [0, *np.flatnonzero(changed).tolist(), block.ticks]
        for begin, end in pairwise(edges):
            part = Block(block.times[begin:end], block.interval)
            yield part, self.at(int(part.times[0]))

    @property
    def _masks(self) -> tuple[Any, Any]:
        return self._lasting.topics, self._lasting.groups


def _there(key: int, count: int, times: Ints) -> Any:
    """Whether each of `count` entities that come and go is there, shape (count, ticks)."""
    places = np.arange(count)[:, None]
    begun = (hashed(key, places) * (CYCLE // HOUR)).astype(np.int64)
    cycle, hour = np.divmod(times // HOUR + begun, CYCLE // HOUR)
    share = SHORTEST + (LONGEST - SHORTEST) * hashed(key + 1, cycle * count + places)
    return hour < share * (CYCLE // HOUR)
