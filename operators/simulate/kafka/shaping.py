"""How the traces of anomalies spread over a Kafka cluster's samples, along cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Ints
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC
from operators.simulate.anomalies.aftermath import Aftermath, Driven
from operators.simulate.anomalies.kinds import Effect, Lever
from operators.simulate.anomalies.labels import NONE, Labels, paint
from operators.simulate.anomalies.levers import Levers
from operators.simulate.anomalies.occurrences import Anomaly
from operators.simulate.consumption import Consumption
from operators.simulate.kafka.group_topics import GroupTopics
from operators.simulate.kafka.layout import Layout
from operators.simulate.noise import (
    distinct,
)

OF_BROKERS = (Lever.CPU, Lever.MEMORY, Lever.LATENCY, Lever.REFUSED)
"""Levers whose effect shows on the broker itself."""

OF_GROUPS = (Lever.CONSUMERS, Lever.MEMBERSHIP)
"""Levers whose effect shows on the group itself."""


@dataclass(frozen=True, slots=True)
class Shaping:
    """Which samples of a block anomalies have shaped."""

    calm: Driven
    """What would drive the pairs of groups and topics without anomalies."""
    real: Driven
    wanted: Ints
    """Messages that producers sent, shape (topics, ticks)."""
    backlog_before: Ints
    backlog: Ints
    """The pairs' backlog before and in the block."""
    levers: Levers
    layout: Layout
    before: Layout
    levers_before: Levers
    """Layout and levers at the tick before the block."""


def label(
    shaping: Shaping,
    happening: Sequence[tuple[Anomaly, tuple[Effect, ...]]],
    pairs: Consumption,
    aftermath: Aftermath,
    group_topics: GroupTopics,
) -> Labels:
    """The labels of a block's samples.

    Messages of a topic shape its own samples, those of the groups that read it (until the lag
    is worked off), of the brokers that lead it and of the cluster; and so on for each lever.
    """
    levers, layout = shaping.levers, shaping.layout
    known = [(a.start, a.label) for a, _ in happening]
    labels = Labels(
        [*known, *((start, label) for _, _, start, label in aftermath.traces)], levers.ticks
    )
    topics = labels.codes(TOPIC, len(shaping.wanted))
    groups = labels.codes(CONSUMER_GROUP, pairs.by_group.count)
    cluster = labels.codes(CLUSTER, 1)
    trouble = _of_trouble(shaping, labels)

    _paint_traffic(topics, shaping, labels, trouble)
    pulled = np.maximum(topics[pairs.topic], _of_capacity(levers, labels, pairs))
    shaped = aftermath.follow(
        pairs, shaping.backlog_before, shaping.calm, shaping.real, shaping.backlog, pulled, labels
    )
    for pull in levers.of(Lever.SIZE, Lever.ERRORS):
        paint(topics, pull.entities, pull.span, labels.code(pull.anomaly.label))
    cluster[0] = np.concatenate([topics, shaped.lag]).max(axis=0, initial=NONE)
    np.maximum.at(topics, pairs.topic[shaped.pairs], shaped.rates)
    np.maximum.at(groups, pairs.group[shaped.pairs], shaped.rates)

    group_topics.label(labels, levers, shaped)

    loads = topics.copy()
    for pull in levers.of(Lever.RETENTION):
        paint(topics, pull.entities, pull.span, labels.code(pull.anomaly.label))
    for pull in levers.of(Lever.HOT, Lever.RETENTION):
        code = labels.code(pull.anomaly.label)
        if pull.effect.lever is Lever.HOT:
            paint(loads, pull.entities, pull.span, code)
        readers = distinct(pairs.group[np.isin(pairs.topic, pull.entities)])
        paint(groups, readers, pull.span, code)
    for pull in levers.of(*OF_GROUPS):
        paint(groups, pull.entities, pull.span, labels.code(pull.anomaly.label))

    brokers = labels.codes(BROKER, layout.last.partitions.brokers)
    for pull in levers.of(*OF_BROKERS):
        paint(brokers, pull.entities, pull.span, labels.code(pull.anomaly.label))
    _paint_leaders(brokers, loads, layout)
    if not (layout.calm and shaping.before.calm):
        _paint_trouble(brokers, topics, cluster, shaping, trouble)
    return labels


def _of_trouble(shaping: Shaping, labels: Labels) -> Ints:
    """Code of the last anomaly that has brokers down or behind, at the tick before and in the block."""
    codes = np.full(shaping.levers.ticks + 1, NONE, np.int64)
    for offset, levers in ((0, shaping.levers_before), (1, shaping.levers)):
        for pull in levers.of(Lever.DOWN, Lever.BEHIND):
            span = slice(pull.span.start + offset, pull.span.stop + offset)
            codes[span] = np.maximum(codes[span], labels.code(pull.anomaly.label))
    return codes


def _paint_traffic(topics: Ints, shaping: Shaping, labels: Labels, trouble: Ints) -> None:
    """Topics of which anomalies changed the messages that came in."""
    for pull in shaping.levers.of(Lever.MESSAGES):
        paint(topics, pull.entities, pull.span, labels.code(pull.anomaly.label))
    for c in shaping.layout.corrections:
        if c.pull.effect.lever is Lever.REFUSED:
            code = np.where(c.messages > 0, labels.code(c.pull.anomaly.label), NONE)
            paint(topics, np.array([c.topic]), c.ticks, code)
    lost = shaping.layout.reachable(shaping.wanted) != shaping.wanted
    np.maximum(topics, np.where(lost, trouble[1:], NONE), out=topics)


def _of_capacity(levers: Levers, labels: Labels, pairs: Consumption) -> Ints:
    """Codes of what changed how much pairs can read, shape (pairs, ticks)."""
    codes = np.full((len(pairs.group), levers.ticks), NONE, np.int64)
    for lever, owner in ((Lever.CAPACITY, pairs.group), (Lever.READING, pairs.topic)):
        for pull in levers.of(lever):
            reached = np.flatnonzero(np.isin(owner, pull.entities))
            paint(codes, reached, pull.span, labels.code(pull.anomaly.label))
    return codes


def _paint_leaders(brokers: Ints, topics: Ints, layout: Layout) -> None:
    """Brokers that lead a topic whose traffic was shaped."""
    if (topics == NONE).all():
        return
    for span, placement in layout.stretches:
        codes = placement.greatest_led(topics[:, span], NONE)
        np.maximum(brokers[:, span], codes, out=brokers[:, span])


def _paint_trouble(
    brokers: Ints, topics: Ints, cluster: Ints, shaping: Shaping, trouble: Ints
) -> None:
    """Samples that show that brokers are down or behind, or were so at the tick before."""
    layout, before = shaping.layout, shaping.before
    lately = np.maximum(trouble[1:], trouble[:-1])
    under = layout.under_replicated(led=True)
    grown = np.diff(under, axis=1, prepend=before.under_replicated(led=True)[:, -1:]) != 0
    places = np.arange(len(brokers))[:, None]
    control = layout.controllers() == places
    changed: Any = (under > 0) | grown | layout.spread("shifted")
    for trouble_of in ("dead", "returned", "behind"):
        changed |= layout.in_trouble(trouble_of)
    changed |= control & ((layout.elections(before.last) > 0) | (places > 0))
    np.maximum(brokers, np.where(changed, lately, NONE), out=brokers)
    shown = layout.under_replicated() + layout.spread("offline") + layout.spread("non_preferred")
    np.maximum(topics, np.where(shown > 0, lately, NONE), out=topics)
    seen = (shown > 0).any(axis=0) | layout.in_trouble("dead").any(axis=0)
    seen |= layout.elections(before.last) > 0
    cluster[0] = np.maximum(cluster[0], np.where(seen, lately, NONE))
