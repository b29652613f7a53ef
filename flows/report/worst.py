"""What was worst, and when: what a report leads with."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from flows.drawing.marks import Gap
from flows.report.summary import Summary
from flows.units import duration, of, short
from operators.outlook import KEEPS_UP
from operators.schema.metrics import COLLECTION, CONSUMER_GROUP, QUEUE

MOST = 12
"""Lines that are listed."""
ERRORS = 1.0
"""Percent of requests that fail from which on that is worth a line; a few always do."""
LEAST = 1e-6
"""Percent of queues: any at all."""
TICKS = 3
"""Missing ticks from which on a gap is worth a line."""


@dataclass(frozen=True, slots=True)
class Worst:
    """One thing that was wrong; `rank` orders kinds, the gravest first."""

    rank: int
    what: str
    cluster: str
    where: str
    """The cluster, or the group, queue or node in it."""
    value: str
    """How bad it was at its worst, with its unit."""
    start: int
    """When that time began, ms since 1970 (the start of a bucket)."""
    lasted: int
    """Milliseconds, in whole buckets."""


@dataclass(frozen=True, slots=True)
class _WorstSpell:
    """A while in which something was wrong, [start, end) in ms, and how bad it came."""

    entity: str
    start: int
    end: int
    value: float


def worst(summary: Summary, missing: Sequence[Gap]) -> list[Worst]:
    """The gravest first, of a kind the longest: of each cluster and kind the worst time.

    In this order: messages lost unread, clusters that never answered, partitions without a leader and queues
    that nobody can use, brokers or nodes down and their alarms, samples that are missing, groups and queues
    whose oldest message waits for a minute,
    partitions that miss a replica, requests that failed.
    """
    found = [
        *_of_the_silent(summary),
        *_of_clusters(summary),
        *_of_entities(summary),
        *_of_gaps(missing),
    ]
    return sorted(found, key=lambda w: (w.rank, -w.lasted, w.where))[:MOST]


def _of_clusters(summary: Summary) -> Iterator[Worst]:
    for (name,), rows in summary.clusters.group_by("cluster", maintain_order=True):
        cluster = str(name)
        wrong = rows.with_columns(
            down=pl.col("brokers_known").max() - pl.col("brokers_up"),
            nodes_down=pl.col("nodes_known").max() - pl.col("nodes_up"),
            # Of Kafka's clusters it is the share of partitions with a leader, which has its own line.
            queues_down=100 - pl.when(pl.col("nodes_known").max() > 0).then("availability"),
        )
        for rank, column, what, least, unit in (
            (1, "offline", "partitions without a leader", 1.0, "partitions"),
            (1, "queues_down", "queues that nobody could use", LEAST, "% of queues"),
            (2, "down", "brokers down", 1.0, f"of {_most(rows, 'brokers_known')} brokers"),
            (2, "nodes_down", "nodes down", 1.0, f"of {_most(rows, 'nodes_known')} nodes"),
            (2, "alarms", "memory and disk alarms", 1.0, "alarms"),
            (5, "under_replicated", "partitions that miss a replica", 1.0, "partitions"),
            (6, "errors", "requests failed", ERRORS, "% of requests"),
        ):
            spells = _spells(wrong, cluster, column, least, summary.buckets.width)
            if spells:
                one = max(spells, key=_gravity)
                times = _times(len(spells))
                counted = unit.removesuffix("s") if one.value == 1 and " " not in unit else unit
                value = f"{short(one.value)} {counted}{times}"
                where = _culprits(summary, column, one) or cluster
                yield Worst(rank, what, cluster, where, value, one.start, one.end - one.start)


def _culprits(summary: Summary, column: str, spell: _WorstSpell) -> str | None:
    """Which queues or nodes were down or had an alarm in a cluster's spell; None where none is known."""
    match column:
        case "queues_down":
            frame, what = summary.queues, "down"
        case "nodes_down":
            frame, what = summary.nodes, "down"
        case "alarms":
            frame, what = summary.nodes, "alarm"
        case _:
            return None
    then = (pl.col(f"{what}_first") < spell.end) & (pl.col(f"{what}_last") >= spell.start)
    names = frame.filter((pl.col("cluster") == spell.entity) & then)
    named = names.sort(f"{what}_first", "entity")["entity"]
    return _and_more(str(named[0]), len(named) - 1) if len(named) else None


def _and_more(name: str, others: int) -> str:
    return name + (f" and {others} more" if others else "")


def _of_the_silent(summary: Summary) -> Iterator[Worst]:
    """Clusters of which no tick of any target went well."""
    asked = summary.tick_rows.filter(pl.col("type") == COLLECTION.label)
    for (name,), targets in summary.targets.group_by("cluster", maintain_order=True):
        if targets["ok"].sum():
            continue
        cluster = str(name)
        own = asked.filter(pl.col("cluster") == cluster)
        gravest = targets.sort("ticks", descending=True)["error_class"][0]
        value = f"{of(int(targets['ticks'].sum()), 'failed tick')}: {gravest}"
        start, end = int(own["first"].min()), int(own["last"].max())  # type: ignore[arg-type]
        yield Worst(1, "never answered", cluster, cluster, value, start, end - start)


def _of_entities(summary: Summary) -> Iterator[Worst]:
    """Groups and queues; those of a cluster that were wrong at the same time are one line."""
    for rank, type_, what, column, least in (
        (0, CONSUMER_GROUP, "messages lost unread", "lost", 1.0),
        (4, CONSUMER_GROUP, "group behind", "seconds", KEEPS_UP),
        (4, QUEUE, "queue's oldest message", "seconds", KEEPS_UP),
    ):
        own = summary.lags.filter(pl.col("type") == type_.label)
        for (name,), rows in own.group_by("cluster", maintain_order=True):
            cluster = str(name)
            spells = [
                spell
                for (entity,), each in rows.group_by("entity", maintain_order=True)
                for spell in _spells(each, str(entity), column, least, summary.buckets.width)
            ]
            of_lead: dict[str, list[list[_WorstSpell]]] = defaultdict(list)
            for overlapping in _overlapping(spells):
                of_lead[max(overlapping, key=_gravity).entity].append(overlapping)
            for entity, all_times in of_lead.items():
                gravest = max(all_times, key=lambda t: max(map(_gravity, t)))
                value = max(spell.value for spell in gravest)
                start = min(spell.start for spell in gravest)
                others = len({spell.entity for spell in gravest}) - 1
                yield Worst(
                    rank,
                    what,
                    cluster,
                    _and_more(entity, others),
                    (f"{short(value)} messages" if column == "lost" else duration(round(value)))
                    + _times(len(all_times)),
                    start,
                    max(spell.end for spell in gravest) - start,
                )


def _of_gaps(missing: Sequence[Gap]) -> Iterator[Worst]:
    each: dict[tuple[str, str], list[Gap]] = defaultdict(list)
    for gap in missing:
        if gap.ticks >= TICKS:
            each[gap.cluster, gap.type].append(gap)
    for (cluster, type_), gaps in each.items():
        longest = max(gaps, key=lambda g: g.ticks)
        where = cluster if type_ == "cluster" else f"{cluster} ({type_})"
        value = f"{longest.ticks:,} ticks{_times(len(gaps))}"
        yield Worst(
            3, "no samples", cluster, where, value, longest.start, longest.end - longest.start
        )


def _spells(
    rows: pl.DataFrame, entity: str, column: str, least: float, width: int
) -> list[_WorstSpell]:
    """The times in which a column is at least so much; those a bucket apart are one."""
    spells: list[_WorstSpell] = []
    wrong = rows.filter(pl.col(column) >= least).sort("time").select("time", column)
    for time, value in wrong.iter_rows():
        last = spells[-1] if spells else None
        if last and time <= last.end + width:
            spells[-1] = _WorstSpell(entity, last.start, time + width, max(last.value, value))
        else:
            spells.append(_WorstSpell(entity, time, time + width, value))
    return spells


def _overlapping(spells: Iterable[_WorstSpell]) -> list[list[_WorstSpell]]:
    """Spells that overlap, in one list."""
    found: list[list[_WorstSpell]] = []
    end = -1
    for spell in sorted(spells, key=lambda s: (s.start, s.entity)):
        if found and spell.start < end:
            found[-1].append(spell)
            end = max(end, spell.end)
        else:
            found.append([spell])
            end = spell.end
    return found


def _most(rows: pl.DataFrame, column: str) -> str:
    return str(rows[column].max())


def _gravity(spell: _WorstSpell) -> tuple[float, int]:
    return spell.value, spell.end - spell.start


def _times(number: int) -> str:
    return f", the worst of {number}" if number > 1 else ""
