"""The alerts that ship, evaluated on samples."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.dashboard.alerts import Condition, conditions
from flows.dashboard.nrql import Query
from flows.detectors.newrelic_alerts import _over_window, _rows, newrelic_alerts
from flows.detectors.prometheus_rules import SHIPPED, prometheus_rules, rules
from flows.errors import UsageError
from flows.samples import Samples, find_samples
from operators.schema.arrow import sample_batch
from operators.schema.metrics import BROKER, CONSUMER_GROUP
from tests.samples import NEW_YEAR

MINUTE = 60_000


def lags(folder: Path, values: Sequence[float | None], origin: str = "simulated") -> Samples:
    """A group whose `lagSeconds` has these values, minute by minute."""
    batch = sample_batch(
        CONSUMER_GROUP,
        len(values),
        {
            "timestamp": pa.array([NEW_YEAR + n * MINUTE for n in range(len(values))]),
            "entity_guid": "g",
            "entity_name": "sim/billing",
            "cluster_name": "sim",
            "provider": "kafka",
            "environment": "test",
            "origin": origin,
            "consumer_group": "billing",
            "consumerGroup.lagSeconds": values,
            "consumerGroup.totalLag": [1] * len(values),
        },
    )
    place = folder / "type=consumer_group/date=2026-01-01"
    place.mkdir(parents=True)
    pq.write_table(pa.Table.from_batches([batch]), place / "a-b-0.parquet")
    return find_samples(str(folder))


def lag_condition(**changes: float | bool) -> Condition:
    """The condition on lag that ships, but for some changes."""
    (shipped,) = [c for c in conditions() if c.name == "Consumer lag"]
    given: dict[str, float | bool | None] = {"critical": None, "warning": shipped.warning}
    return Condition(shipped.name, shipped.meaning, shipped.query, **(given | changes))  # type: ignore[arg-type]


def test_condition_opens_when_it_was_broken_for_its_time(tmp_path: Path) -> None:
    """Five windows of a minute; each is looked at two minutes after its end."""
    samples = lags(tmp_path, [5] * 10 + [500] * 8 + [5] * 12)
    (alert,) = newrelic_alerts(samples, [lag_condition()]).rows()
    opens, closes = NEW_YEAR + (15 + 2) * MINUTE, NEW_YEAR + (18 + 5 + 2) * MINUTE
    assert alert == ("sim/billing", opens, closes, None)


def test_condition_that_was_broken_for_less_opens_nothing(tmp_path: Path) -> None:
    """And one that fills alone break never does: they are not measured."""
    assert newrelic_alerts(lags(tmp_path / "a", [5, *[500] * 4, 5]), [lag_condition()]).is_empty()
    filled = lags(tmp_path / "b", [500] * 20, origin="filled")
    assert newrelic_alerts(filled, [lag_condition()]).is_empty()


def test_a_changed_alert_changes_the_detector(tmp_path: Path) -> None:
    """A threshold that is higher than the lag finds nothing; one that is enough once, more."""
    samples = lags(tmp_path, [5] * 5 + [500] + [5] * 10)
    assert newrelic_alerts(samples, [lag_condition()]).is_empty()
    assert newrelic_alerts(samples, [lag_condition(once=True)]).height == 1
    assert newrelic_alerts(samples, [lag_condition(once=True, warning=501)]).is_empty()


def test_silence_is_an_alert_until_data_comes(tmp_path: Path) -> None:
    """Three windows after the last sample; a sample without a metric is none."""
    dead = sample_batch(
        BROKER,
        30,
        {
            "timestamp": pa.array([NEW_YEAR + n * MINUTE for n in range(30)]),
            "entity_guid": "b",
            "entity_name": "sim/broker-1",
            "cluster_name": "sim",
            "provider": "kafka",
            "environment": "test",
            "origin": "simulated",
            "broker_id": [1] * 30,
            "broker.cpuUsage": [None if 10 <= n < 20 else 1.0 for n in range(30)],
        },
    )
    place = tmp_path / "type=broker/date=2026-01-01"
    place.mkdir(parents=True)
    pq.write_table(pa.Table.from_batches([dead]), place / "a-b-0.parquet")
    alerts = newrelic_alerts(find_samples(str(tmp_path))).rows()
    gone, back = NEW_YEAR + (9 + 3) * MINUTE, NEW_YEAR + 20 * MINUTE
    assert alerts == [("sim/broker-1", gone, back, None)]


def test_condition_that_cannot_be_evaluated_is_named(tmp_path: Path) -> None:
    """Rather than finding nothing."""
    query = Query("percentile(consumerGroup.lagSeconds, 99)", (CONSUMER_GROUP,), filtered=False)
    with pytest.raises(UsageError, match=r"percentile\(consumerGroup.lagSeconds, 99\)"):
        newrelic_alerts(lags(tmp_path, [1]), [Condition("x", "x", query, critical=1)])


def test_rule_fires_when_it_held_for_its_time(tmp_path: Path) -> None:
    """At the tick by which `for` has passed, until the first at which it does not hold."""
    samples = lags(tmp_path, [5] * 10 + [500] * 8 + [5] * 12)
    expected = ("sim/billing", NEW_YEAR + 15 * MINUTE, NEW_YEAR + 17 * MINUTE, None)
    assert prometheus_rules(samples).rows() == [expected]


def test_a_changed_rule_changes_the_detector(tmp_path: Path) -> None:
    """The file that ships is read, not a copy of it."""
    samples = lags(tmp_path / "samples", [5] * 10 + [500] * 8 + [5] * 12)
    text = SHIPPED.read_text(encoding="utf-8")
    assert "mq_consumer_group_lag_seconds > 120" in text
    file = tmp_path / "rules.yml"
    file.write_text(text.replace("lag_seconds > 120", "lag_seconds > 501"), encoding="utf-8")
    assert prometheus_rules(samples, file).is_empty()


def test_every_rule_on_samples_that_ships_can_be_evaluated() -> None:
    """One that cannot would be passed over in silence."""
    shipped = SHIPPED.read_text(encoding="utf-8")
    assert len(rules(SHIPPED)) == shipped.count("expr: mq_")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("mq_consumer_group_lag_second > 1", "did you mean `mq_consumer_group_lag_seconds`"),
        ("rate(mq_topic_offset[5m]) > 1", "cannot be evaluated on samples"),
        ("mq_topic_consumer_lag > mq_broker_leaders", "of different entities"),
        ("mq_topic_consumer_lag > 1 and mq_broker_leaders > 1", "of different entities"),
    ],
)
def test_rule_that_cannot_be_evaluated_is_named(tmp_path: Path, expression: str, said: str) -> None:
    """With the file, and what is right."""
    file = tmp_path / "rules.yml"
    file.write_text(f"groups: [{{rules: [{{alert: A, expr: '{expression}'}}]}}]", encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        rules(file)


def test_every_condition_that_ships_can_be_evaluated(tmp_path: Path) -> None:
    """Whatever it is of, filters by and is faceted by."""
    samples = lags(tmp_path, [1])
    for condition in conditions({"sim": 3}):
        (entity_type,) = condition.query.of
        rows = _rows(samples, condition.query, entity_type)
        assert rows.columns == ["time", "entity", "facet", "value"]
        _over_window(condition.query)
