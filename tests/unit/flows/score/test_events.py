"""Alerts scored against anomalies: what is right, what is found, how fast, and which cause."""

import polars as pl
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from flows.anomalies.alerts import ALERTS
from flows.anomalies.ground_truth import ground_truth_of
from flows.score.events import EventScore, Matches, match, merged, score_events
from operators.simulate import ANOMALIES


def anomalies(*found: tuple[str, str, int, int]) -> pl.DataFrame:
    """A table of anomalies of (kind, entity, start, end), each touching its cluster too."""
    rows = [
        {
            "kind": kind,
            "label": f"{kind}:{entity}:{start}",
            "cluster_name": "c",
            "entity": entity,
            "entities": [entity, "c"],
            "start": start,
            "peak": start,
            "end": end,
        }
        for kind, entity, start, end in found
    ]
    frame = pl.from_arrow(pa.Table.from_pylist(rows, ANOMALIES))
    assert isinstance(frame, pl.DataFrame)
    return frame


def alerts(*found: tuple[str, int]) -> pl.DataFrame:
    """Alerts of a moment each: (entity, ms)."""
    rows = [(entity, at, at, None) for entity, at in found]
    return pl.DataFrame(rows, schema=ALERTS, orient="row")


def scored(
    given_: pl.DataFrame, table: pl.DataFrame, grace: int
) -> tuple[Matches, dict[str, EventScore], EventScore]:
    """Matches, and the figures of each kind and of all; `grace` in seconds."""
    truth = ground_truth_of(table, 0, 10**9)
    found = match(given_, truth, grace * 1000)
    return found, *score_events(found, truth)


TRUTH = anomalies(("spike", "c/t", 10_000, 20_000), ("broker_down", "c/broker-1", 50_000, 60_000))


def test_alert_on_what_an_anomaly_touches_while_it_lasts_is_right() -> None:
    """On its root or along its cause, from onset to recovery; what is elsewhere is wrong."""
    given_ = alerts(
        ("c/t", 10_000), ("c", 20_000), ("c/t", 9_999), ("c/t", 20_001), ("c/other", 15_000)
    )
    found, kinds, total = scored(given_, TRUTH, 0)
    assert (found.alerts, found.right) == (5, 2)
    assert (total.anomalies, total.delays) == (2, (0.0,))
    assert kinds["broker_down"].recall == 0.0


def test_first_alert_counts_for_the_time_to_detect() -> None:
    """Later ones change nothing but precision's denominator."""
    given_ = alerts(("c/t", 19_000), ("c/t", 13_000), ("c", 15_000))
    found, kinds, _ = scored(given_, TRUTH, 0)
    assert found.right == 3
    assert kinds["spike"].delays == (3.0,)


def test_grace_lets_alerts_come_after_the_recovery() -> None:
    """Lag outlives its cause; so may the alert on it."""
    given_ = alerts(("c/t", 24_000))
    assert scored(given_, TRUTH, 0)[0].right == 0
    found, _, total = scored(given_, TRUTH, 4)
    assert (found.right, total.delays) == (1, (14.0,))


def test_alert_that_lasts_is_right_where_it_meets_the_anomaly() -> None:
    """One that began before finds it at once; one that ended before does not."""
    lasting = pl.DataFrame([("c/t", 5_000, 12_000, None)], schema=ALERTS, orient="row")
    over = pl.DataFrame([("c/t", 5_000, 9_000, None)], schema=ALERTS, orient="row")
    assert scored(lasting, TRUTH, 0)[2].delays == (0.0,)
    assert scored(over, TRUTH, 0)[2].delays == ()


def test_one_alert_may_be_explained_by_two_anomalies() -> None:
    """Both are found by it, and it is one right alert."""
    both = anomalies(("spike", "c/t", 0, 20_000), ("drop", "c/u", 5_000, 20_000))
    found, _, total = scored(alerts(("c", 6_000)), both, 0)
    assert (found.alerts, found.right, total.delays) == (1, 1, (1.0, 6.0))


def test_nothing_wrong_is_no_number() -> None:
    """Without anomalies there is no recall, and no cause."""
    total = scored(alerts(("c", 1)), anomalies(), 0)[2]
    assert (total.recall, total.cause) == (None, None)


def test_an_alert_on_the_root_counts_more_than_one_on_what_it_touched() -> None:
    """Twice as much; to name the root is as good as to alert on it."""
    assert scored(alerts(("c/t", 12_000)), TRUTH, 0)[1]["spike"].cause == 1.0
    assert scored(alerts(("c", 12_000)), TRUTH, 0)[1]["spike"].cause == 0.5
    naming = pl.DataFrame([("c", 12_000, 12_000, "c/t")], schema=ALERTS, orient="row")
    wrong = pl.DataFrame([("c", 12_000, 12_000, "c/u")], schema=ALERTS, orient="row")
    assert scored(naming, TRUTH, 0)[1]["spike"].cause == 1.0
    assert scored(wrong, TRUTH, 0)[1]["spike"].cause == 0.5
    assert scored(alerts(), TRUTH, 0)[1]["spike"].cause == 0.0


entities = st.sampled_from(["c", "c/t", "c/u", "c/broker-1"])


@given(
    found=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), entities, st.integers(0, 1000), st.integers(0, 500)),
        max_size=8,
        unique_by=lambda f: f[:3],
    ),
    given_=st.lists(st.tuples(entities, st.integers(0, 1500)), max_size=20),
    grace=st.integers(0, 2),
)
def test_score_is_what_a_plain_search_finds(
    found: list[tuple[str, str, int, int]], given_: list[tuple[str, int]], grace: int
) -> None:
    """Whatever the anomalies and alerts."""
    spans = [(k, e, start, start + length) for k, e, start, length in found]

    def explains(span: tuple[str, str, int, int], alert: tuple[str, int]) -> bool:
        _, entity, start, end = span
        return alert[0] in (entity, "c") and start <= alert[1] <= end + grace * 1000

    delays = [
        min(alert[1] - span[2] for alert in given_ if explains(span, alert)) / 1000
        for span in spans
        if any(explains(span, alert) for alert in given_)
    ]
    right = sum(any(explains(span, alert) for span in spans) for alert in given_)
    found_, _, total = scored(alerts(*given_), anomalies(*spans), grace)
    assert (found_.alerts, found_.right) == (len(given_), right)
    assert (total.anomalies, total.delays) == (len(spans), tuple(sorted(delays)))


@given(st.lists(st.tuples(entities, st.integers(0, 60_000)), max_size=20), st.integers(0, 20))
def test_parts_of_the_alerts_score_as_the_whole(given_: list[tuple[str, int]], cut: int) -> None:
    """However alerts are dealt out."""
    truth = ground_truth_of(TRUTH, 0, 10**9)
    parts = [match(alerts(*part), truth, 0) for part in (given_[:cut], given_[cut:])]
    whole = match(alerts(*given_), truth, 0)
    joined = merged(parts, truth)
    assert (joined.alerts, joined.right) == (whole.alerts, whole.right)
    assert (joined.first == whole.first).all()
    assert (joined.rooted == whole.rooted).all()
