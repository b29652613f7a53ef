"""Results of ticks for tests, made of what was measured, and described in a few words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from operators.collect.client.topology import UNKNOWN
from operators.collect.entities.brokers import broker_samples
from operators.collect.entities.group_topics import pairs_of
from operators.collect.entities.groups import group_samples
from operators.collect.entities.partition_lag import partition_lag
from operators.collect.entities.topics import topic_samples
from operators.collect.pages.parse import Page
from operators.collect.pages.reader import Pages
from operators.collect.reading.commits import commits_of
from operators.collect.reading.groups import FoundGroups
from operators.collect.reading.limits import NOT_KNOWN, Limits
from operators.collect.reading.offsets import Offsets
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import SelectionSettings
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import EntityType
from operators.ticks import Collected, Outcome, TickResult, Ticks
from tests.kafka_metadata import topology
from tests.reported_groups import ReportedGroup, groups_of
from tests.samples import NEW_YEAR

INTERVAL = 10_000
IDENTITY = ClusterIdentity("prod", "production", None)
START = NEW_YEAR

Ends = Mapping[str, Sequence[int | None]]
"""By topic: the end offset of each partition; None where the leader did not answer."""


def ms(number: float) -> int:
    """The time of tick `number`."""
    return START + round(number * INTERVAL)


def brokers(
    number: int,
    pages: Mapping[int, Page],
    live: Sequence[int] = (1,),
    epochs: Mapping[str, Sequence[int]] | None = None,
    ids: Mapping[str, str] | None = None,
) -> TickResult:
    """Tick `number` of the kind brokers; `epochs` are those of each topic's leaders."""
    topics = epochs or {}
    read = topology(live, {t: [(1, [1], [1])] * len(of) for t, of in topics.items()}, ids=ids)
    flat = [epoch for name in read.topics for epoch in topics[name]]
    read = replace(read, leader_epoch=np.array(flat, np.int64))
    found = broker_samples(IDENTITY, ms(number), read, Pages(pages), read_at=ms(number))
    return _result("brokers", number, found)


def topics(
    number: int,
    ends: Ends,
    *,
    start: int = 0,
    epoch: int = 0,
    ids: Mapping[str, str] | None = None,
    leaderless: frozenset[tuple[str, int]] = frozenset(),
    commits: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    pages: Mapping[int, Page] | None = None,
    partial: bool = False,
) -> TickResult:
    """Tick `number` of the kind topics; all starts and epochs are the same."""
    cluster = _topology(ends, leaderless, ids)
    read = _offsets(cluster, ends, number, start, epoch)
    groups = _groups(number, commits or {})
    found = topic_samples(
        IDENTITY,
        ms(number),
        SelectionSettings(),
        cluster,
        read,
        commits_of(groups, cluster),
        Pages(pages or {}),
    )
    return _result("topics", number, found, partial)


def groups(
    number: int,
    ends: Ends,
    commits: Mapping[str, Mapping[str, Sequence[int]]],
    *,
    start: int = 0,
    members: Mapping[str, Sequence[str]] | None = None,
    written: Mapping[tuple[str, int], int] | None = None,
    partition_offsets: bool = False,
    group_topics: int = 0,
    limits: Limits = NOT_KNOWN,
    partial: bool = False,
) -> TickResult:
    """Tick `number` of the kind groups.

    `commits` are each group's by topic. `written` says for a topic and committed offset when the
    message there was written (ms).
    """
    cluster = _topology(ends, frozenset())
    joined = commits_of(_groups(number, commits, members or {}), cluster)
    times = written or {}
    message_at = [
        times.get((joined.topics[topic], offset), UNKNOWN)
        for topic, offset in zip(joined.topic.tolist(), joined.committed.tolist(), strict=True)
    ]
    found = group_samples(
        IDENTITY,
        ms(number),
        joined,
        cluster,
        _offsets(cluster, ends, number, start, 0),
        np.array(message_at, np.int64),
        partition_offsets,
        pairs_of(joined),
        group_topics,
        limits,
    )
    return _result("groups", number, found, partial)


def lag_by_partition(
    number: int, ends: Ends, commits: Mapping[str, Mapping[str, Sequence[int]]], most: int
) -> pa.RecordBatch:
    """Groups' lag by partition of tick `number`, of at most so many partitions."""
    cluster = _topology(ends, frozenset())
    joined = commits_of(_groups(number, commits, {}), cluster)
    return partition_lag(IDENTITY, ms(number), joined, _offsets(cluster, ends, number, 0, 0), most)


def page(
    number: float,
    counters: Mapping[str, float] | None = None,
    topic_counters: Mapping[tuple[str, str], float] | None = None,
) -> Page:
    """A broker's page of tick `number`."""
    return Page(ms(number), {}, counters or {}, topic_counters or {}, {})


def column(result: TickResult, entity_type: EntityType, name: str) -> dict[str, Any]:
    """A column's values by the entity's name under its cluster."""
    batches = [b for b in result.batches if entity_type_of(b) is entity_type]
    rows = pa.Table.from_batches(batches).select(["entity_name", name]).to_pylist()
    return {row["entity_name"].removeprefix("prod").lstrip("/"): row[name] for row in rows}


def _result(kind: str, number: int, found: Collected, partial: bool = False) -> TickResult:
    return TickResult(
        Ticks("prod", ms(number), INTERVAL, kind=kind),
        Outcome.COMPLETED,
        found.batches,
        found.raw,
        attempts=1,
        error_class="timeout" if partial else None,
    )


def _topology(
    ends: Ends, leaderless: frozenset[tuple[str, int]], ids: Mapping[str, str] | None = None
) -> Any:
    return topology(
        [1],
        {
            topic: [(-1 if (topic, p) in leaderless else 1, [1], [1]) for p in range(len(of_topic))]
            for topic, of_topic in ends.items()
        },
        ids=ids,
    )


def _offsets(cluster: Any, ends: Ends, number: int, start: int, epoch: int) -> Offsets:
    flat = [end for topic in cluster.topics for end in ends[topic]]
    end = np.array([UNKNOWN if e is None else e for e in flat], np.int64)
    known = end != UNKNOWN
    return Offsets(
        np.where(known, start, UNKNOWN),
        end,
        np.where(known, epoch, UNKNOWN),
        np.where(known, ms(number), 0),
        (),
    )


def _groups(
    number: int,
    commits: Mapping[str, Mapping[str, Sequence[int]]],
    members: Mapping[str, Sequence[str]] | None = None,
) -> FoundGroups:
    return groups_of(
        *(
            ReportedGroup(
                group,
                "Stable",
                "classic",
                tuple((members or {}).get(group, ())),
                (),
                tuple(
                    (topic, partition, offset)
                    for topic, offsets in of_group.items()
                    for partition, offset in enumerate(offsets)
                ),
                ms(number),
            )
            for group, of_group in commits.items()
        )
    )
