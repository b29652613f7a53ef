"""What is measured but is no column: how it travels from the collection to the derivation."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.pages.reader import Pages
from operators.collect.raw.schemas import (
    COMMITS,
    CONSUMPTION,
    COUNTERS,
    EPOCHS,
    LAYOUT,
    MEMBERS,
    NAME,
    OFFSETS,
    PAGES,
)
from operators.collect.reading.commits import Commits
from operators.collect.reading.groups import COMPUTED
from operators.collect.reading.limits import (
    NOT_KNOWN,
    Limits,
)
from operators.collect.reading.offsets import Offsets
from operators.schema.arrays import Flags, Floats, Ints
from operators.schema.arrow import from_numpy


@dataclass(frozen=True, slots=True)
class Places:
    """Some rows of the topology: the columns that only the metadata makes."""

    rows: Ints
    topic: pa.Array
    topic_id: pa.Array
    partition: pa.Array
    led: pa.Array


def places_of(topology: ClusterMetadata, rows: Ints) -> Places:
    """The given rows of the topology."""
    return Places(
        rows,
        _names(topology.topics, topology.topic[rows]),
        _names(topology.ids, topology.topic[rows]),
        pa.array(topology.partition[rows], pa.int32()),
        pa.array(topology.leader[rows] >= 0),
    )


def offsets_batch(places: Places, offsets: Offsets) -> pa.RecordBatch:
    """Raw offsets of some rows of the topology; shape: OFFSETS."""
    rows = places.rows
    return pa.RecordBatch.from_arrays(
        [
            places.topic,
            places.topic_id,
            places.partition,
            known(offsets.start[rows]),
            known(offsets.end[rows]),
            pa.array(offsets.epoch[rows], pa.int32()),
            places.led,
            pa.array(offsets.at[rows]),
        ],
        schema=OFFSETS,
    )


def layout_batch(topology: ClusterMetadata, places: Places) -> pa.RecordBatch:
    """Leaders and replicas of some rows of the topology; shape: LAYOUT."""
    rows = places.rows
    return pa.RecordBatch.from_arrays(
        [
            places.topic,
            places.partition,
            known(topology.leader[rows]),
            known(topology.preferred[rows]),
            pa.array(topology.replicas[rows], pa.int64()),
            pa.array(topology.in_sync[rows], pa.int64()),
        ],
        schema=LAYOUT,
    )


def commits_batch(
    commits: Commits, offsets: Offsets, message_at: Ints, limits: Limits = NOT_KNOWN
) -> pa.RecordBatch:
    """Raw commits of partitions that the cluster still has; shape: COMMITS."""
    of = commits.made(_CommitPlaces, lambda: _commit_places(commits))
    there = of.there
    retention, room = limits.of(commits, offsets)
    at = np.array([group.at for group in commits.groups.groups], np.int64)
    return pa.RecordBatch.from_arrays(
        [
            of.group,
            of.topic,
            of.partition,
            pa.array(commits.committed[there]),
            known(commits.start(offsets)[there]),
            known(commits.readable(offsets)[there]),
            of.led,
            pa.array(at[commits.group[there]]),
            known(message_at[there]),
            _reported(commits.groups.positions.lag[there]),
            _number(retention[there]),
            _number(room[there]),
            of.own,
            of.own,
        ],
        schema=COMMITS,
    )


@dataclass(frozen=True, slots=True)
class _CommitPlaces:
    """Commits on partitions that the cluster still has: the columns that their places make."""

    there: Flags
    """By row of the commits."""
    group: pa.Array
    topic: pa.Array
    partition: pa.Array
    led: pa.Array
    own: pa.Array
    """Of what is the derivation's own."""


def _commit_places(commits: Commits) -> _CommitPlaces:
    there = commits.row >= 0
    return _CommitPlaces(
        there,
        _names([group.id for group in commits.groups.groups], commits.group[there]),
        _names(commits.topics, commits.topic[there]),
        pa.array(commits.partition[there], pa.int32()),
        pa.array(commits.led[there]),
        pa.nulls(np.count_nonzero(there), pa.float64()),
    )


def members_batch(commits: Commits) -> pa.RecordBatch:
    """Raw members of the groups that were described; shape: MEMBERS."""
    rows = [
        (group.id, member, group.at)
        for group in commits.groups.groups
        if group.description is not None
        for member in sorted(m.id for m in group.description.members) or (None,)
    ]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([group for group, _, _ in rows], NAME),
            pa.array([member for _, member, _ in rows], pa.string()),
            pa.array([at for _, _, at in rows], pa.int64()),
        ],
        schema=MEMBERS,
    )


def consumption_batch(commits: Commits, topics: frozenset[str]) -> pa.RecordBatch:
    """Raw consumption of the named topics; shape: CONSUMPTION."""
    of = commits.made((_ConsumptionPlaces, topics), lambda: _consumed(commits, topics))
    sums = np.zeros(len(of.pair_group), np.int64)
    np.add.at(sums, of.place, commits.committed[of.kept])
    at = np.array([group.at for group in commits.groups.groups], np.int64)
    return pa.RecordBatch.from_arrays(
        [of.group, of.topic, pa.array(sums), pa.array(at[of.pair_group])], schema=CONSUMPTION
    )


@dataclass(frozen=True, slots=True)
class _ConsumptionPlaces:
    """The pairs of a group and a topic that it commits to."""

    kept: Flags
    """By row of the commits: whether its topic is one of those."""
    place: Ints
    """By row of them that is kept: its pair."""
    pair_group: Ints
    """By pair: the index of its group."""
    group: pa.Array
    topic: pa.Array


def _consumed(commits: Commits, topics: frozenset[str]) -> _ConsumptionPlaces:
    chosen = np.array([topic in topics for topic in commits.topics], np.bool_)
    kept = chosen[commits.topic] if len(chosen) else np.zeros(0, np.bool_)
    width = max(len(commits.topics), 1)
    codes = commits.group[kept] * width + commits.topic[kept]
    pairs = np.unique(codes)
    group = pairs // width
    return _ConsumptionPlaces(
        kept,
        pairs.searchsorted(codes),
        group,
        _names([of.id for of in commits.groups.groups], group),
        _names(commits.topics, pairs % width),
    )


def epochs_batch(topology: ClusterMetadata, at: int) -> pa.RecordBatch:
    """Raw leader epochs of all topics, which came at `at` (ms); shape: EPOCHS."""
    topics = np.arange(len(topology.topics))
    fixed = topology.made(
        "epochs",
        lambda: (
            _names(topology.topics, topics),
            _names(topology.ids, topics),
            pa.array(topology.per_topic(topology.leader_epoch)),
        ),
    )
    times = pa.array(np.full(len(topics), at, np.int64))
    return pa.RecordBatch.from_arrays([*fixed, times], schema=EPOCHS)


def pages_batch(topology: ClusterMetadata, pages: Pages) -> pa.RecordBatch:
    """Which of the live brokers' pages came; shape: PAGES."""
    if not pages.pages:
        return topology.made("no pages", lambda: _pages(topology, pages))
    return _pages(topology, pages)


def _pages(topology: ClusterMetadata, pages: Pages) -> pa.RecordBatch:
    ids = sorted(topology.brokers)
    times = [pages.pages[broker].at if broker in pages.pages else None for broker in ids]
    return pa.RecordBatch.from_arrays(
        [pa.array(ids, pa.int32()), pa.array(times, pa.int64())], schema=PAGES
    )


def broker_measures(pages: Pages) -> dict[str, pa.RecordBatch]:
    """The brokers' own `counters` and `rates`; shapes: COUNTERS."""
    return {
        "counters": _counters(
            (broker, None, name, value)
            for broker, page in pages.pages.items()
            for name, value in page.counters.items()
        ),
        "rates": _counters(
            (broker, None, name, value)
            for broker, page in pages.pages.items()
            for (name, topic), value in page.rates.items()
            if topic is None
        ),
    }


def topic_measures(pages: Pages, topics: Container[str]) -> dict[str, pa.RecordBatch]:
    """`counters` and `rates` of the given topics; shapes: COUNTERS.

    Among the counters are the brokers' own, by which a restart shows.
    """
    counters: list[tuple[int, str | None, str, float]] = []
    rates: list[tuple[int, str | None, str, float]] = []
    for broker, page in pages.pages.items():
        counters += [(broker, None, name, value) for name, value in page.counters.items()]
        for rows, reported in ((counters, page.topic_counters), (rates, page.rates)):
            rows += [
                (broker, topic, name, value)
                for (name, topic), value in reported.items()
                if topic is not None and topic in topics
            ]
    return {"counters": _counters(counters), "rates": _counters(rates)}


def _counters(rows: Iterable[tuple[int, str | None, str, float]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True))
    if not columns:
        return _NO_COUNTERS
    arrays = [
        pa.array(columns[0], pa.int32()),
        pa.array(columns[1], pa.string()).dictionary_encode(),
        pa.array(columns[2], pa.string()).dictionary_encode(),
        pa.array(columns[3], pa.float64()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=COUNTERS)


_NO_COUNTERS = pa.RecordBatch.from_pylist([], schema=COUNTERS)


def known(values: Ints) -> pa.Array:
    """Whole numbers, null where they are UNKNOWN."""
    return pa.array(values, pa.int64(), mask=values == UNKNOWN)


def _number(values: Floats) -> pa.Array:
    """Numbers, null in place of NaN."""
    return from_numpy(values, pa.float64(), np.isnan(values))


def _reported(lag: Ints) -> pa.Array:
    """Lags that a coordinator reported, null where it is to be computed.

    One that it did not report is -1, as an end offset that is not known.
    """
    return pa.array(lag, pa.int64(), mask=lag == COMPUTED)


def _names(names: Sequence[str | None], index: Ints) -> pa.DictionaryArray:
    """A column of names by their index; null where the name is None.

    The dictionary itself has no null: Arrow joins no dictionaries that have one.
    """
    # Of their own type: where pyarrow has to narrow them it takes several times as long.
    if None not in names:
        indices = pa.array(index.astype(np.int32))
        return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))
    known = np.array([name is not None for name in names], np.bool_)
    place = np.cumsum(known) - 1
    indices = pa.array(place[index].astype(np.int32), mask=~known[index])
    there = [name for name in names if name is not None]
    return pa.DictionaryArray.from_arrays(indices, pa.array(there, pa.string()))
