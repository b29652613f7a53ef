"""Who leads what over a block of ticks, as brokers go down and come back."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers, Pull
from operators.simulate.kafka.placement import NOBODY, WHOLE, Partitions, Placement, Trouble


@dataclass(frozen=True, slots=True)
class Correction:
    """Messages of a topic that do not go where its partitions' parts say.

    They are added to what is split among its leaders, and taken from one broker.
    """

    pull: Pull
    """Why."""
    topic: int
    broker: int
    ticks: slice
    messages: Ints

    def of(self, each: Ints | None = None) -> Ints:
        """The messages, or their bytes; `each` are bytes of one, shape (topics, ticks or 1)."""
        if each is None:
            return self.messages
        size = each[self.topic]
        amounts: Ints = self.messages * (size[self.ticks] if len(size) > 1 else size)
        return amounts


class Layout:
    """The placements of a block, one for each stretch in which the trouble is the same."""

    def __init__(self, stretches: list[tuple[slice, Placement]], catching: Floats) -> None:
        self.stretches = stretches
        self.ticks = len(catching)
        self.catching = catching
        """Share of the replicas in question that are not in sync, at each tick."""
        self.corrections: list[Correction] = []

    @property
    def calm(self) -> bool:
        """Whether all brokers are as they should be, all the time."""
        return len(self.stretches) == 1 and self.stretches[0][1].trouble == Trouble()

    @property
    def last(self) -> Placement:
        """The placement at the last tick."""
        return self.stretches[-1][1]

    def led(self, amounts: Ints) -> Floats:
        """Amounts of topics as those of the brokers that lead them, by partitions' parts.

        Shape (topics, ticks) to (brokers, ticks).
        """
        made = [placement.led(amounts[:, span]) for span, placement in self.stretches]
        return made[0] if len(made) == 1 else np.concatenate(made, axis=1)

    def appended(self, messages: Ints, each: Ints | None = None) -> Floats:
        """What brokers append: messages of topics, or their bytes, with the corrections.

        `each` are bytes of a message, shape (topics, ticks or 1).
        """
        amounts = messages if each is None else messages * each
        if not self.corrections:
            return self.led(amounts)
        amounts = amounts.copy()
        for c in self.corrections:
            amounts[c.topic, c.ticks] += c.of(each)
        led = self.led(amounts)
        for c in self.corrections:
            led[c.broker, c.ticks] -= c.of(each)
        return np.maximum(led, 0.0)

    def spread(self, name: str) -> Ints:
        """A placement's figure of each broker or topic, shape (entities, ticks)."""
        return np.concatenate(
            [
                np.repeat(getattr(placement, name)[:, None], span.stop - span.start, axis=1)
                for span, placement in self.stretches
            ],
            axis=1,
        )

    def under_replicated(self, led: bool = False) -> Ints:
        """Under-replicated partitions of each topic, or `led` by each broker."""
        suffix = "_led" if led else ""
        late = np.ceil(self.spread(f"catching_up{suffix}") * self.catching)
        return self.spread(f"under{suffix}") + late.astype(np.int64)

    def under_min_in_sync(self) -> Ints:
        """Partitions that each broker leads with fewer in-sync replicas than they need."""
        late = np.ceil(self.spread("nearly_min_led") * self.catching)
        return self.spread("under_min_led") + late.astype(np.int64)

    def in_sync(self) -> Ints:
        """In-sync replicas of each topic's partitions, summed."""
        back = np.floor(self.spread("returning") * (1 - self.catching))
        return self.spread("in_sync") + back.astype(np.int64)

    def in_trouble(self, name: str) -> Any:
        """Whether each broker is dead, returned or behind, shape (brokers, ticks)."""
        brokers = self.last.partitions.brokers
        chosen = np.zeros((brokers, self.ticks), np.bool_)
        for span, placement in self.stretches:
            chosen[list(getattr(placement.trouble, name)), span] = True
        return chosen

    def controllers(self) -> Ints:
        """Place of the active controller at each tick: the first broker that is up."""
        places: Ints = (~self.in_trouble("dead")).argmax(axis=0)
        return places

    def elections(self, before: Placement) -> Ints:
        """Partitions that got another leader since the tick before, at each tick."""
        counts = np.zeros(self.ticks, np.int64)
        for span, placement in self.stretches:
            if placement is not before:
                changed = (placement.leader != before.leader) & (placement.leader >= 0)
                counts[span.start] = changed.sum()
            before = placement
        return counts

    def reachable(self, messages: Ints) -> Ints:
        """Messages of topics less those whose partitions have no leader."""
        if not any(placement.lost.any() for _, placement in self.stretches):
            return messages
        return messages - messages * self.spread("lost") // WHOLE


def heat(layout: Layout, levers: Levers, messages: Ints) -> None:
    """Move shares of topics' messages to their first partitions, as corrections of the layout."""
    taken: dict[int, Floats] = {}
    for pull in levers.of(Lever.HOT):
        for i, topic in enumerate(pull.entities.tolist()):
            share = _shares(pull, i, layout.ticks, taken.get(topic))
            taken[topic] = taken.get(topic, 0.0) + share
            for span, placement in layout.stretches:
                table = placement.partitions
                leader = int(placement.leader[(table.topic == topic) & (table.number == 0)][0])
                if leader != NOBODY:
                    moved = (messages[topic, span] * share[span]).astype(np.int64)
                    layout.corrections.append(Correction(pull, topic, leader, span, -moved))


def refuse(layout: Layout, levers: Levers, messages: Ints) -> Ints:
    """Messages less what brokers refuse to take; the layout gets the corrections.

    What was moved to a broker before (`heat`) is refused by it too.
    """
    left, taken = messages, dict[int, Floats]()
    moved = list(layout.corrections)
    spread = messages.copy() if moved else messages
    for c in moved:
        spread[c.topic, c.ticks] += c.messages
    for pull in levers.of(Lever.REFUSED):
        left = left.copy() if left is messages else left
        for i, broker in enumerate(pull.entities.tolist()):
            share = _shares(pull, i, layout.ticks, taken.get(broker))
            taken[broker] = taken.get(broker, 0.0) + share
            offered = [(c.topic, c.ticks, -c.messages) for c in moved if c.broker == broker]
            for span, placement in layout.stretches:
                topics, parts = placement.led_by(broker)
                led = spread[topics, span] * parts[:, None] // WHOLE
                offered += [(t, span, led[n]) for n, t in enumerate(topics.tolist())]
            for topic, span, whole in offered:
                refused = (whole * share[span]).astype(np.int64)
                left[topic, span] -= refused
                layout.corrections.append(Correction(pull, topic, broker, span, refused))
    return left


def _shares(pull: Pull, place: int, ticks: int, taken: Floats | None) -> Floats:
    """The share that is pulled at one entity, at every tick, with others' at most the whole."""
    share = np.zeros(ticks)
    share[pull.span] = pull.pulled[place]
    return np.minimum(share, 1.0 if taken is None else np.maximum(1 - taken, 0))


class Layouts:
    """Makes the layouts of blocks; placements are kept, for they cost time to find."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self.ordinary = Placement(partitions)
        self._kept: dict[Trouble, Placement] = {}

    def over(self, levers: Levers) -> Layout:
        """The layout of a block, by what pulls at its brokers."""
        pulls = list(levers.of(Lever.DOWN, Lever.BEHIND))
        edges = {0, levers.ticks}
        catching = np.zeros(levers.ticks)
        for pull in pulls:
            edges |= {pull.span.start, pull.span.stop}
            if pull.effect.lever is Lever.DOWN:
                edges.add(pull.span.start + int(np.argmax([*pull.recovering, True])))
            catching[pull.span] = np.maximum(catching[pull.span], pull.pulled.max(axis=0))
        stretches: list[tuple[slice, Placement]] = []
        for begin, end in pairwise(sorted(edges)):
            states: dict[str, set[int]] = {"dead": set(), "returned": set(), "behind": set()}
            for pull in pulls:
                if pull.span.start <= begin < pull.span.stop:
                    state = "behind"
                    if pull.effect.lever is Lever.DOWN:
                        ending = pull.recovering[begin - pull.span.start]
                        state = "returned" if ending else "dead"
                    states[state] |= set(pull.entities.tolist())
            stretches.append((slice(begin, end), self._placement(states)))
        return Layout(stretches, catching)

    def _placement(self, states: dict[str, set[int]]) -> Placement:
        dead = frozenset(states["dead"])
        returned = frozenset(states["returned"]) - dead
        trouble = Trouble(dead, returned, frozenset(states["behind"]) - dead - returned)
        if trouble == Trouble():
            return self.ordinary
        if trouble not in self._kept:
            if len(self._kept) >= 16:
                self._kept.clear()
            self._kept[trouble] = Placement(self._partitions, trouble)
        return self._kept[trouble]
