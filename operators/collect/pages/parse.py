"""A broker's metrics page: what its text says, whichever rules it was made by."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, nan

import pyarrow as pa

from operators.collect.pages.dialects import (
    BROKER_COUNTERS,
    BY_NAME,
    BYTES_IN,
    BYTES_OUT,
    DISK_SIZE,
    ELECTIONS,
    FAILED_FETCHES,
    FAILED_PRODUCES,
    FETCHES,
    HEAP_MAX,
    HEAP_USED,
    MEMORY_ALLOCATED,
    MEMORY_AVAILABLE,
    MEMORY_FREE,
    PROCESSOR_SHARE,
    PROCESSOR_TIME,
    PROCESSORS,
    PRODUCES,
    SOURCES,
    STARTED,
    TOPIC_COUNTERS,
    UPTIME,
    LabelMeanings,
    Meaning,
    SeriesForm,
)
from operators.schema.metrics import BROKER

# What follows the brace after a name. A string may hold anything, escaped; possessive, so that no
# text takes long to be refused.
_REST = re.compile(
    r'((?:[^"}]*+"[^"\\]*+(?:\\.[^"\\]*+)*+")*+[^"}]*+)\}\s*+(\S++)',
)
_LABEL = re.compile(r'(\w++)\s*+=\s*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"')
_PLAIN_LABEL = re.compile(r'(\w+)="([^"]*)"')
"""One without escapes and spaces: three times as fast to find."""
_ESCAPE = re.compile(r"\\(.)")

_SHARES = frozenset(metric.name for metric in BROKER.metrics if metric.unit == "%")
_WHOLE = frozenset(metric.name for metric in BROKER.metrics if metric.type == pa.int64())

COLUMNS: tuple[str, ...] = tuple(
    column
    for column in SOURCES
    # Elections are reported by the metadata too, where brokers do not count them.
    if "." in column and column != BROKER_COUNTERS[ELECTIONS]
)
"""Columns that pages alone give, the rates that are derived from them among them."""

_REQUESTS = (PRODUCES, FETCHES, FAILED_PRODUCES, FAILED_FETCHES)
_BYTES = ((BYTES_IN, "topic.bytesInPerSecond"), (BYTES_OUT, "topic.bytesOutPerSecond"))


@dataclass(frozen=True, slots=True)
class Page:
    """What one broker's page says."""

    at: int
    """When it came, in ms since the epoch."""
    gauges: Mapping[str, float]
    """Values by the column of a broker's sample."""
    counters: Mapping[str, float]
    """Since the broker's start, by their name in `operators.collect.pages.dialects`."""
    topic_counters: Mapping[tuple[str, str], float]
    """The same by name and topic; a topic without traffic has none."""
    sizes: Mapping[str, int] | None = None
    """Bytes on this broker's disks, by topic; None where the page does not report them."""
    rates: Mapping[tuple[str, str | None], float] = field(default_factory=dict)
    """Means per second by counter and topic, where the page has no such counter."""
    dialect: str = ""
    """Whose names it has, as far as they show it."""
    lacks: tuple[str, ...] = ()
    """Columns that pages can give and this one cannot."""


def parse_page(text: str, at: int) -> Page | None:
    """What a page in Prometheus' text format or in OpenMetrics says; None where it is no broker's.

    Units are those of the columns: shares in percent, times in ms or s, counters since the start.
    A value below 0 stands for one that is not known.
    """
    broker: defaultdict[tuple[Meaning, str], float] = defaultdict(float)
    topics: defaultdict[Meaning, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for meanings, labels, value in _series(text):
        for meaning in meanings:
            reported = 1.0 if meaning.counted else value * meaning.scale
            topic = None if meaning.topic is None else labels.get(meaning.topic)
            if topic is not None:
                topics[meaning][topic] += reported
                if not meaning.summed:
                    continue
            broker[meaning, "" if meaning.by is None else labels.get(meaning.by, "")] += reported
    of_broker = _best(meaning for meaning, _ in broker)
    of_topics = _best(topics)

    gauges: dict[str, float] = {}
    counters: dict[str, float] = {}
    rates: dict[tuple[str, str | None], float] = {}
    topic_counters: dict[tuple[str, str], float] = {}
    sizes: dict[str, int] | None = None
    for (meaning, end), value in broker.items():
        if of_broker[meaning.reports] is meaning:
            if meaning.form is SeriesForm.TOTAL:
                counters[meaning.key + end] = value
            elif meaning.form is SeriesForm.RATE:
                rates[meaning.key, None] = value
            elif meaning.key != DISK_SIZE:
                gauges[meaning.key] = value
    for meaning in of_topics.values():
        told_of = topics[meaning].items()
        if meaning.key == DISK_SIZE:
            sizes = {topic: int(value) for topic, value in told_of}
        elif meaning.key in TOPIC_COUNTERS and meaning.form is SeriesForm.TOTAL:
            topic_counters |= {(meaning.key, topic): value for topic, value in told_of}
        elif meaning.key in TOPIC_COUNTERS:
            rates |= {(meaning.key, topic): value for topic, value in told_of}
    flow = of_broker.get("broker.IOInPerSecond") or of_broker.get("broker.messagesInPerSecond")
    if flow is None:
        return None
    sources = {meaning.source for meaning in (*of_broker.values(), *of_topics.values())}
    return Page(
        at,
        _gauges(gauges, at),
        _counters(counters, gauges.get(PROCESSORS, 0)),
        topic_counters,
        sizes,
        rates,
        flow.dialect,
        (
            *(column for column in COLUMNS if not sources.intersection(SOURCES[column])),
            *_unknown_of_topics(counters, topic_counters, rates),
        ),
    )


_Wanted = tuple[tuple[str, ...], LabelMeanings]
_ParsedSeries = tuple[tuple[Meaning, ...], Mapping[str, str], float]


def _series(text: str) -> Iterator[_ParsedSeries]:
    """What the series of a page report, with their labels and values; what is no number is none.

    Most series of a page are not wanted: of those nothing is read but the name.
    """
    known: dict[str, _Wanted | None] = {}
    for line in text.split("\n"):
        name, brace, rest = line.partition("{")
        if name in known:
            wanted = known[name]
        else:
            words = name.split()
            if not words or len(words) > 1 or not brace:
                yield from _unlabelled(words)
                continue
            wanted = known[name] = BY_NAME.get(words[0].lower())
        if wanted is None:
            continue
        if "\\" in rest or "#" in rest:
            found = _REST.match(rest)
            labels_text, value_text = (found[1], found[2]) if found else ("", "")
        else:
            # Nothing is escaped and nothing follows: whatever strings hold, the last brace ends
            # the labels.
            labels_text, _, value_text = rest.rpartition("}")
        labels = _labels(labels_text)
        keys, by_labels = wanted
        meanings = by_labels.get(tuple([labels.get(key) for key in keys]) if keys else ())
        if meanings is not None and 0 <= (value := _number(value_text)) < inf:
            yield meanings, labels, value


def _unlabelled(words: Sequence[str]) -> Iterator[_ParsedSeries]:
    """What a series without labels reports; its name and value, or none at all."""
    wanted = BY_NAME.get(words[0].lower()) if len(words) > 1 else None
    if wanted is not None:
        keys, by_labels = wanted
        value = _number(words[1])
        if 0 <= value < inf:
            yield by_labels.get((None,) * len(keys), ()), {}, value


def _number(text: str) -> float:
    """A value, before a time stamp if there is one; NaN where there is none."""
    try:
        return float(text)
    except ValueError:
        try:
            return float(text.split()[0])
        except (ValueError, IndexError):
            return nan


def _labels(text: str) -> dict[str, str]:
    """Labels by name, in whatever order they stand."""
    if "\\" not in text and " " not in text:
        return dict(_PLAIN_LABEL.findall(text))
    return {name: _ESCAPE.sub(_unescaped, value) for name, value in _LABEL.findall(text)}


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]


def _best(meanings: Iterable[Meaning]) -> dict[str, Meaning]:
    """By what is reported: the meaning with the lowest rank."""
    best: dict[str, Meaning] = {}
    for meaning in meanings:
        if meaning.reports not in best or meaning.rank < best[meaning.reports].rank:
            best[meaning.reports] = meaning
    return best


def _gauges(reported: Mapping[str, float], at: int) -> dict[str, float]:
    """Gauges by column, held to what they can be; those made of several among them."""
    gauges = {column: value for column, value in reported.items() if "." in column}
    if reported.get(HEAP_MAX, 0) > 0 and HEAP_USED in reported:
        gauges["broker.memoryUsage"] = 100 * reported[HEAP_USED] / reported[HEAP_MAX]
    whole = reported.get(MEMORY_ALLOCATED, 0) + reported.get(MEMORY_FREE, 0)
    if whole > 0 and MEMORY_AVAILABLE in reported:
        gauges["broker.memoryUsage"] = 100 * max(0.0, 1 - reported[MEMORY_AVAILABLE] / whole)
    if STARTED in reported:
        gauges[UPTIME] = max(0.0, at / 1000 - reported[STARTED])
    if "broker.isController" in gauges:
        gauges["broker.isController"] = int(gauges["broker.isController"] > 0)
    for column in _SHARES & gauges.keys():
        gauges[column] = min(100.0, gauges[column])
    for column in _WHOLE & gauges.keys():
        gauges[column] = int(gauges[column])
    return gauges


def _counters(reported: Mapping[str, float], processors: float) -> dict[str, float]:
    """Counters by name; processor time in percent of all processors where their number is known."""
    counters = dict(reported)
    if PROCESSOR_TIME in counters:
        spent = 100 * counters.pop(PROCESSOR_TIME)
        if processors > 0:
            counters[PROCESSOR_SHARE] = spent / processors
        else:
            counters[PROCESSOR_TIME] = spent
    return counters


def _unknown_of_topics(
    counters: Mapping[str, float],
    topic_counters: Mapping[tuple[str, str], float],
    rates: Mapping[tuple[str, str | None], float],
) -> Iterator[str]:
    """Columns of topics, and sums of all brokers, that a page cannot give."""
    by_topic = {key for key, _ in topic_counters} | {key for key, topic in rates if topic}
    for key, column in _BYTES:
        if key not in by_topic and (counters.get(key, 0) > 0 or (key, None) in rates):
            yield column
    if not all(key in counters or (key, None) in rates for key in _REQUESTS):
        yield "cluster.errorRate"
        yield "topic.errorRate"
