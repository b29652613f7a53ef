"""Laws of the merge, whatever comes when: on time, late, failed, missed, restarts between."""

import pickle
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.merge.settings import FillSettings
from operators.schema.metrics import CLUSTER, COLLECTION
from operators.ticks import Outcome, TickResult
from tests.merge_by_hand import EXPECT, INTERVAL, KINDS, Harness, T, due, result

GRACE, STALE = 15_000, 2 * INTERVAL
EXPECTED = {"brokers": (1, 2), "topics": ("orders",), "groups": ("billing",)}
OTHERS = {"brokers": (3,), "topics": ("audit",), "groups": ("search",)}
PATHS = {"prod", "prod/broker-1", "prod/broker-2", "prod/orders", "prod/billing"}


@dataclass(frozen=True)
class Answer:
    """What becomes of one target's tick, and how many ms after it is due."""

    delay: int
    outcome: Outcome
    names: tuple[Any, ...]
    error: str | None


@st.composite
def answers(draw: st.DrawFn, kind: str) -> Answer:
    outcome = draw(st.sampled_from([Outcome.COMPLETED] * 3 + [Outcome.FAILED, Outcome.REFUSED]))
    there = draw(st.sets(st.sampled_from(EXPECTED[kind] + OTHERS[kind])))
    return Answer(
        draw(st.integers(1, 2 * INTERVAL)),
        outcome,
        tuple(sorted(there)) if outcome is Outcome.COMPLETED else (),
        draw(st.sampled_from([None, None, "timeout"])),
    )


@dataclass(frozen=True)
class Pause:
    """The process ends after a tick, that many ms later, and misses the next `ticks`."""

    after: int
    delay: int
    ticks: int


@st.composite
def schedules(draw: st.DrawFn) -> tuple[list[dict[str, Answer]], Pause | None, bool]:
    ticks = draw(
        st.lists(st.fixed_dictionaries({k: answers(k) for k in KINDS}), min_size=1, max_size=5)
    )
    pause = st.builds(
        Pause, st.integers(0, len(ticks) - 1), st.integers(0, INTERVAL - 1), st.integers(0, 4)
    )
    return ticks, draw(st.none() | pause), draw(st.booleans())


def run(ticks: list[dict[str, Answer]], pause: Pause | None, stalls: bool) -> tuple[Harness, int]:
    """Play a schedule, in the order of its times; returns the merge and the number of ticks.

    After a pause what was under way is missed, and so are the ticks that fell due meanwhile. A
    worker that stalls gets to what is overdue only after what else has come.
    """
    h = Harness(EXPECT, FillSettings(grace=GRACE / 1000, stale_after=STALE / 1000))
    under_way: list[tuple[int, TickResult]] = []
    clock = T

    def play(until: int) -> None:
        nonlocal under_way
        for at, value in sorted(under_way, key=lambda item: item[0]):
            if at < until:
                if not stalls:
                    h.wait(at)
                h.give(value)
        under_way = [item for item in under_way if item[0] >= until]
        h.wait(until)

    for n, tick in enumerate(ticks):
        play(clock)
        for kind in KINDS:
            h.give(due(kind, clock))
            a = tick[kind]
            under_way.append((clock + a.delay, result(kind, clock, a.names, a.outcome, a.error)))
        clock += INTERVAL
        if pause is not None and n == pause.after:
            play(clock - INTERVAL + pause.delay)
            h.start(pickle.loads(pickle.dumps(h.merge.snapshot())))
            lost = [value.tick for _, value in under_way]
            under_way = []
            clock += pause.ticks * INTERVAL
            for kind in KINDS:
                if pause.ticks:
                    h.give(due(kind, clock, missed=pause.ticks, count=0))
                for gone in lost:
                    if gone.kind == kind:
                        h.give(TickResult(gone, Outcome.MISSED, error_class="missed"))
                if pause.ticks:
                    last = due(kind, clock - INTERVAL, missed=pause.ticks - 1, count=0)
                    h.give(TickResult(last, Outcome.MISSED, error_class="missed"))
    play(clock + 3 * INTERVAL)
    return h, (clock - T) // INTERVAL


Schedule = tuple[list[dict[str, Answer]], Pause | None, bool]


@given(schedules())
@settings(max_examples=75, deadline=None)
def test_laws_hold_for_any_schedule(schedule: Schedule) -> None:
    """On time, late, failed, refused, missed; workers that stall, restarts: see the four laws."""
    h, count = run(*schedule)
    rows = [row for row in h.rows if row["entity_type"] != COLLECTION.name]
    assert h.merge.under_way == 0
    each_expected_entity_has_one_sample_a_tick_that_is_not_late(rows, count)
    what_is_not_expected_is_filled_only_after_long_silence(rows)
    every_sample_and_every_result_passes_once(h, schedule, count)
    coverage_adds_up_and_is_never_over_100_percent(h, rows)


def each_expected_entity_has_one_sample_a_tick_that_is_not_late(
    rows: list[dict[str, Any]], count: int
) -> None:
    """A collected one if it came in time, else a filled one; a late one only beside a fill."""
    in_time = Counter((row["entity_name"], row["tick"]) for row in rows if not row["late"])
    expected = {(path, T + n * INTERVAL) for path in PATHS for n in range(count)}
    assert {key for key in in_time if key[0] in PATHS} == expected
    assert set(in_time.values()) == {1}
    filled = {(row["entity_name"], row["tick"]) for row in rows if row["origin"] == "filled"}
    assert {(row["entity_name"], row["tick"]) for row in rows if row["late"]} <= filled


def what_is_not_expected_is_filled_only_after_long_silence(rows: list[dict[str, Any]]) -> None:
    """No filled sample within `stale_after` of a collected one, and none before the first."""
    seen: dict[str, int] = {}
    for row in rows:
        if row["entity_name"] in PATHS:
            continue
        if row["origin"] == "filled":
            assert row["tick"] - seen[row["entity_name"]] >= STALE
        else:
            seen[row["entity_name"]] = max(row["tick"], seen.get(row["entity_name"], 0))


def every_sample_and_every_result_passes_once(h: Harness, schedule: Schedule, count: int) -> None:
    """Nothing that was collected is lost or doubled, and each tick of a target is reported."""
    ticks, pause, _ = schedule
    passed = Counter(
        (row["entity_name"], row["tick"])
        for row in h.rows
        if row["origin"] == "collected"
        and row["entity_type"] not in (COLLECTION.name, CLUSTER.name)
    )
    assert set(passed.values()) <= {1}
    if pause is None:
        assert len(passed) == sum(len(tick[kind].names) for tick in ticks for kind in KINDS)
    reports = [row for row in h.rows if row["entity_type"] == COLLECTION.name]
    missed = sum(max(0, row["collection.missed"] - 1) for row in reports)
    assert len(reports) + missed == count * len(KINDS)


def coverage_adds_up_and_is_never_over_100_percent(h: Harness, rows: list[dict[str, Any]]) -> None:
    """Filled samples are counted as they were emitted; no event has more than was expected."""
    assert all(0 <= c.collected + c.filled <= c.expected for c in h.coverage)
    assert sum(c.filled for c in h.coverage) == sum(row["origin"] == "filled" for row in rows)
