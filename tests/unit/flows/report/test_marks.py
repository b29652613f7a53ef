"""What a report marks: gaps, filled spans, and anomalies in lanes."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.drawing.marks import Filled, Gap, ReportedAnomaly, place
from flows.report.anomalies import anomalies
from flows.report.gaps import gaps
from flows.report.marks import marks_of
from flows.report.summary import summarize
from flows.samples import find_samples
from operators.schema.metrics import BROKER, CLUSTER
from tests.hybrid_morning import (
    FILLED,
    GONE,
    LABEL,
    SICK,
    cluster_rows,
    hybrid,
    rows,
    truth,
    write,
)
from tests.samples import INTERVAL, NEW_YEAR


def at(tick: int) -> int:
    """The time of a tick."""
    return NEW_YEAR + tick * INTERVAL


def gaps_of(path: Path) -> list[Gap]:
    """The gaps of the samples below a path."""
    return gaps(summarize(find_samples(str(path))))


def test_gap_lies_between_the_samples_around_it(tmp_path: Path) -> None:
    """The cluster that was silent has one gap, with exact edges; filled ticks are none."""
    assert gaps_of(hybrid(tmp_path)) == [
        Gap("prod-us", "cluster", at(GONE.start - 1), at(GONE.stop), len(GONE))
    ]


def test_gap_of_one_kind_is_found_while_the_others_go_on(tmp_path: Path) -> None:
    """Brokers that gave nothing are a gap of the brokers."""
    ticks = range(100)
    batches = [b for b in cluster_rows("c", ticks) if "broker_id" not in b.schema.names]
    seen = [t for t in ticks if not 40 <= t < 50]
    write(tmp_path, [*batches, rows(BROKER, "c", seen, 1, broker__cpuUsage=1.0)])
    assert gaps_of(tmp_path) == [Gap("c", "broker", at(39), at(50), 10)]


def test_ticks_lost_within_a_bucket_are_counted(tmp_path: Path) -> None:
    """A day has buckets of six ticks; one that is lost in the middle of one is missed."""
    ticks = [t for t in range(2880) if t != 1000]
    write(tmp_path, [rows(CLUSTER, "c", ticks)])
    assert [(g.cluster, g.ticks) for g in gaps_of(tmp_path)] == [("c", 1)]


def test_every_second_tick_lost_for_a_while_is_a_gap(tmp_path: Path) -> None:
    """A target that cannot keep up for an hour has lost a third of it in all."""
    ticks = [t for t in range(2880) if not (600 <= t < 720 and t % 2)]
    write(tmp_path, [rows(CLUSTER, "c", ticks)])
    assert sum(g.ticks for g in gaps_of(tmp_path)) == 60


def test_longer_interval_from_some_day_on_is_no_gap(tmp_path: Path) -> None:
    """Where the interval was changed for good, only the time around the change is in doubt."""
    ticks = [*range(2880), *range(2880, 4 * 2880, 2)]
    write(tmp_path, [rows(CLUSTER, "c", ticks)])
    found = gaps_of(tmp_path)
    assert sum(g.ticks for g in found) < 0.1 * 2880
    assert all(g.end < at(int(1.5 * 2880)) for g in found)


def test_rows_that_are_there_twice_make_no_gap(tmp_path: Path) -> None:
    """Two runs of the same time are read as one."""
    for partition in ("a", "b"):
        write(tmp_path, [rows(CLUSTER, "c", range(2880))], partition)
    assert gaps_of(tmp_path) == []


def test_cluster_that_ends_early_has_an_open_gap(tmp_path: Path) -> None:
    """Silence up to the last samples of all has no end."""
    write(tmp_path, [rows(CLUSTER, "a", range(100)), rows(CLUSTER, "b", range(50))])
    assert gaps_of(tmp_path) == [Gap("b", "cluster", at(49), at(99), 50, open=True)]


def test_filled_spans_have_edges_and_shares(tmp_path: Path) -> None:
    """A wholly filled span is one, from its first tick to the end of its last."""
    summary = summarize(find_samples(str(hybrid(tmp_path))))
    marks = marks_of("prod-eu", ["cluster"], summary, [], [])
    assert marks.filled == [Filled(at(FILLED.start), at(FILLED.stop), 1.0)]
    assert marks_of("prod-us", ["cluster"], summary, [], []).filled == []


@pytest.mark.parametrize("with_table", [False, True])
def test_anomaly_comes_from_labels_and_from_the_table(tmp_path: Path, with_table: bool) -> None:
    """Labels alone give kind, root and the shaped samples; the table adds the exact times."""
    hybrid(tmp_path)
    if with_table:
        truth(tmp_path)
    [found] = anomalies(summarize(find_samples(str(tmp_path))))
    assert found == ReportedAnomaly(
        label=LABEL,
        kind="broker_down",
        cluster="sim-eu",
        entity="sim-eu/broker-2",
        start=at(SICK.start),
        peak=at(SICK.start + 4) if with_table else None,
        end=at(SICK.stop) if with_table else at(SICK.stop - 1),
        types=frozenset({"cluster", "broker", "topic", "consumer_group"}),
        rows=7 * len(SICK),
        number=1,
    )


def test_anomaly_that_shaped_nothing_is_marked_nowhere(tmp_path: Path) -> None:
    """It is listed, since the table has it, and no plot carries it."""
    hybrid(tmp_path)
    truth(tmp_path, {}, {"label": "spike:sim-eu/x:2026-01-01T00:00:00Z", "start": at(1)})
    summary = summarize(find_samples(str(tmp_path)))
    found = anomalies(summary)
    assert [a.rows for a in found] == [0, 7 * len(SICK)]
    [placed] = marks_of("sim-eu", ["cluster"], summary, found, []).anomalies
    assert placed.anomaly.label == LABEL


def test_anomalies_outside_the_span_are_left_out(tmp_path: Path) -> None:
    """The table may be of a longer time than the samples that are there."""
    hybrid(tmp_path)
    truth(tmp_path, {"label": "spike:sim-eu/x:y", "start": at(9000), "end": at(9001)})
    assert [a.label for a in anomalies(summarize(find_samples(str(tmp_path))))] == [LABEL]


spans = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 300), st.integers(1, 100)), max_size=30
)


@given(spans=spans, lanes=st.integers(1, 6))
def test_anomalies_in_a_lane_never_meet(spans: list[tuple[int, int, int]], lanes: int) -> None:
    """Whatever the schedule; and the one that shaped most is always placed."""
    found = [
        ReportedAnomaly(
            f"a{n}", "spike", "c", "c/t", start, None, start + length, frozenset(), size
        )
        for n, (start, length, size) in enumerate(spans)
    ]
    placed = place(found, 0, 1000, lanes)
    for lane in range(lanes):
        here = sorted((p for p in placed if p.lane == lane), key=lambda p: p.anomaly.start)
        assert all(a.anomaly.end <= b.anomaly.start for a, b in pairwise(here))
    assert not found or max(found, key=lambda a: a.rows).rows in {p.anomaly.rows for p in placed}
