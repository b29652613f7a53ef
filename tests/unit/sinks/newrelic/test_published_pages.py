"""What New Relic's published entities, golden metrics and dashboards ask for is sent by default."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from operators.schema.arrow import Only, only
from operators.simulate.settings import SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import by_cluster
from operators.ticks import Ticks
from sinks.newrelic.encode import events, metric_blocks
from tests.newrelic.published import EVENTS, NEEDS, attributes_of, entity_of, unmet
from tests.samples import INTERVAL, NEW_YEAR
from tests.unit.sinks.newrelic.test_encode import objects


@pytest.fixture(scope="module")
def batches() -> list[Any]:
    """Samples of a simulated cluster in which a broker dies."""
    simulation = SimulationSettings.model_validate(
        {"fleets": [{"name": "f"}], "anomalies": [{"kind": "broker_down", "rate": 20.0}]}
    )
    (spec,) = by_cluster(simulation).values()
    shard = Shard(replace(spec, beside=frozenset(Only)), 1)
    return list(shard.step(Ticks(spec.cluster, NEW_YEAR, INTERVAL, 120)))


@pytest.fixture(scope="module")
def points(batches: list[Any]) -> list[dict[str, Any]]:
    """Every point as New Relic has it: the block's attributes, then its own."""
    return [point for batch in batches for point in _points(batch)]


def _points(batch: Any) -> Iterator[dict[str, Any]]:
    rows, _ = metric_blocks(batch, INTERVAL, known_only=True)
    for block in objects(rows):
        for point in block["metrics"]:
            own = point.get("attributes", {})
            yield attributes_of({**point, "attributes": {**block["common"]["attributes"], **own}})


@pytest.mark.parametrize("kind", NEEDS)
def test_every_server_side_need_has_points_on_its_entity(
    points: list[dict[str, Any]], kind: str
) -> None:
    """Each name with each attribute that a widget or golden metric filters by."""
    assert unmet(points, kind) == []


def test_every_entity_of_the_fleet_is_made(points: list[dict[str, Any]]) -> None:
    """One cluster, three brokers, ten topics, and nothing else."""
    made = {entity for point in points if (entity := entity_of(point)) is not None}
    kinds = [kind for kind, *_ in made]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "KAFKACLUSTER": 1,
        "KAFKABROKER": 3,
        "KAFKATOPIC": 10,
    }


def test_lag_by_group_lies_on_the_topic(points: list[dict[str, Any]]) -> None:
    """The golden metric is `lag_sum` by `group`; without a topic it would land on the cluster."""
    sums = [p for p in points if p["metricName"] == "kafka.consumer_group.lag_sum"]
    assert sums
    assert all(point["group"] and point["topic"] for point in sums)
    lags = [p for p in points if p["metricName"] == "kafka.consumer_group.lag"]
    assert {point["entityType"] for point in lags} == {"MESSAGE_QUEUE_PARTITION_OFFSET"}
    assert {(p["group"], p["topic"]) for p in lags} == {(p["group"], p["topic"]) for p in sums}
    assert all(isinstance(point["partition"], int) for point in lags)


@pytest.mark.parametrize("event_type", EVENTS)
def test_events_are_found_by_the_names_that_nri_kafkas_pages_filter_by(
    batches: list[Any], event_type: str
) -> None:
    """`entityName LIKE 'broker:%'`, and each attribute that a widget averages."""
    prefix, wanted = EVENTS[event_type]
    rows = [batch for batch in batches if only(batch) is not Only.POINTS]
    sent = [e for b in rows for e in objects(events(b)) if e["eventType"] == event_type]
    assert sent
    assert all(event["entityName"] == f"{prefix}{event['displayName']}" for event in sent)
    assert all(event["entityPath"].startswith("f/") for event in sent)
    assert wanted <= set().union(*(event.keys() for event in sent))
