"""Counters of brokers' pages: what they grew by since the page before, or their rates."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.derive.store import (
    NOWHERE,
    Raw,
    at,
    concat,
    match,
    numbers,
)
from operators.schema.arrays import Flags, Floats, Ints
from operators.schema.dictionaries import joined

KEYS = ("broker", "topic", "name")


@dataclass(frozen=True, slots=True)
class CounterGrowth:
    """Growth of counters between two pages of each broker; one entry a counter."""

    broker: Ints
    topic: pa.Array
    """Null for the broker's own counters."""
    name: pa.Array
    grown: Floats
    """NaN where the broker's two pages cannot be compared."""
    seconds: Floats
    """Between the broker's two pages."""
    complete: bool
    """Whether the pages of all live brokers can be compared."""

    def reports_topics(self, name: str) -> bool:
        """Whether pages have this counter of topics too, where there was anything to count."""
        of_brokers = self.grown[self.of_brokers(name)]
        return len(self.of_topics(name)) > 0 or (len(of_brokers) > 0 and not of_brokers.any())

    def of_brokers(self, name: str) -> Ints:
        """The entries of one counter of the brokers themselves."""
        return np.flatnonzero(self._is(name) & ~np.asarray(self.topic.is_valid()))

    def of_brokers_by_end(self, start: str) -> list[tuple[float, Ints]]:
        """The entries of the brokers' counters whose names begin so, by the number at the end."""
        names = [n for n in pc.unique(self.name).to_pylist() if n.startswith(start)]
        return [(float(name.removeprefix(start)), self.of_brokers(name)) for name in names]

    def of_topics(self, name: str) -> Ints:
        """The entries of one counter of the brokers' topics."""
        return np.flatnonzero(self._is(name) & np.asarray(self.topic.is_valid()))

    def _is(self, name: str) -> Flags:
        found: Flags = np.asarray(pc.equal(self.name, name))
        return found


def has_pages(now: Raw) -> bool:
    """Whether any broker's page came."""
    return bool(now["counters"].num_rows or now["rates"].num_rows)


def growth(now: Raw, before: Raw, most: float) -> CounterGrowth:
    """What each counter grew by.

    A broker's pages cannot be compared where one is missing, where they are more than `most`
    seconds apart, or where one of the broker's own counters went back: it was restarted. A
    counter that is new on a page of a topic began at 0: brokers make them at the first traffic.
    What a page has as a rate needs no page before: it grew by that a second.
    """
    counters, earlier_counters = now["counters"], before["counters"]
    brokers = numbers(counters, "broker")
    values = np.asarray(counters.column("value"))
    matched = match(counters, earlier_counters, KEYS)
    of_topic = np.asarray(counters.column("topic").is_valid())
    earlier = at(np.asarray(earlier_counters.column("value")), matched, 0)
    earlier = np.where((matched == NOWHERE) & ~of_topic, np.nan, earlier)
    restarted = set(brokers[~of_topic & (values < earlier)].tolist())
    seconds = {b: s for b, s in _seconds(now, before, most).items() if b not in restarted}
    between = np.array([seconds.get(broker, np.nan) for broker in brokers.tolist()], np.float64)
    grown = values - earlier
    grown[~(grown >= 0) | np.isnan(between)] = np.nan
    rates = now["rates"]
    of_rates = numbers(rates, "broker")
    lasted = np.array([seconds.get(broker, 1.0) for broker in of_rates.tolist()], np.float64)
    return CounterGrowth(
        np.concatenate([brokers, of_rates]),
        joined(counters.column("topic"), rates.column("topic")),
        joined(counters.column("name"), rates.column("name")),
        np.concatenate([grown, np.asarray(rates.column("value")) * lasted]),
        np.concatenate([between, lasted]),
        len(seconds) == now["pages"].num_rows,
    )


def kept_pages(now: Raw, before: Raw) -> Raw:
    """The last page of each live broker, for the next tick: this one or the one before."""
    pages, counters = now["pages"], now["counters"]
    came = pages.filter(pages.column("at").is_valid())
    if came.num_rows == pages.num_rows:
        return {"pages": pages, "counters": counters}
    if not before["pages"].num_rows and not before["counters"].num_rows:
        return {"pages": came, "counters": counters}
    missing = pages.filter(pages.column("at").is_null()).column("broker")
    return {
        name: concat([fresh, before[name].filter(pc.is_in(before[name].column("broker"), missing))])
        for name, fresh in (("pages", came), ("counters", counters))
    }


def error_rate(failed: float, requests: float) -> float:
    """The share of requests that failed, in percent; 0 where there were none; NaN stays NaN."""
    if requests == 0:
        return 0.0
    rate = 100 * failed / requests
    return 100.0 if rate > 100 else rate


def _seconds(now: Raw, before: Raw, most: float) -> dict[int, float]:
    """By broker: seconds between its two pages; those that cannot be compared are left out."""
    then = before["pages"]
    since = dict(zip(then.column("broker").to_pylist(), then.column("at").to_pylist(), strict=True))
    pages = zip(
        now["pages"].column("broker").to_pylist(),
        now["pages"].column("at").to_pylist(),
        strict=True,
    )
    return {
        broker: (page_at - since[broker]) / 1000
        for broker, page_at in pages
        if page_at is not None
        and since.get(broker) is not None
        and 0 < page_at - since[broker] <= most * 1000
    }
