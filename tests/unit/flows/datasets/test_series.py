"""Samples as series: gaps are filled, labelled ticks have their causes, and what is no number is left out."""

from datetime import datetime
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from flows.anomalies.ground_truth import GroundTruth
from flows.datasets.series import LabelledSeries, ShapedTicks, labelled_series
from flows.samples import Samples
from operators.schema.metrics import BROKER, COLLECTION, TOPIC, EntityType
from tests.unit.flows.datasets.some_series import BEGIN, INTERVAL, series

OTHER, BYTES = (metric.name for metric in BROKER.numeric[:2])
DOWN = "broker_down#1"
TRUTH = GroundTruth((DOWN,), ("broker_down",), ("c/2",), np.array([0]), np.array([1]), {})


class Rows:
    """Samples that are in memory: rows of (name, tick, label, values of the metrics)."""

    def __init__(self, rows: list[tuple[str, int, str | None, float | None]]) -> None:
        numbers = {m.name: None for m in BROKER.numeric}
        self.files = dict.fromkeys((BROKER, COLLECTION), ())
        self._frame = pl.DataFrame(
            [
                {
                    "cluster_name": "c",
                    "entity_name": name,
                    "timestamp": BEGIN + tick * INTERVAL,
                    "anomaly": label,
                    **numbers,
                    BYTES: value,
                }
                for name, tick, label, value in rows
            ],
            schema_overrides={"anomaly": pl.String, **dict.fromkeys(numbers, pl.Float64)},
        )

    def scan(self, entity_type: EntityType) -> pl.LazyFrame:
        assert entity_type is BROKER
        return self._frame.lazy()


def found(rows: Rows, *metrics: str) -> list[LabelledSeries]:
    return list(labelled_series(cast("Samples", rows), TRUTH, metrics))


def test_a_gap_has_the_value_before_it_and_one_at_the_beginning_that_after_it() -> None:
    """In the order of time, whatever the order of the rows; a metric without a value is left out."""
    rows = [("c/1", 3, None, 5.0), ("c/1", 2, None, None), ("c/1", 1, None, 4.0)]
    (one,) = found(Rows([*rows, ("c/1", 0, None, None)]))
    assert one.values.to_dict(as_series=False) == {BYTES: [4.0, 4.0, 4.0, 5.0]}
    times: list[datetime] = one.times.to_list()
    assert times == [BEGIN + n * INTERVAL for n in range(4)]
    assert (one.first, one.causes, one.train) == (None, (), 1)


def test_labelled_ticks_have_the_kind_and_the_root_of_their_cause() -> None:
    """A run that is interrupted is two; what no table knows is labelled, and has no cause."""
    labels = [None, DOWN, DOWN, None, DOWN, "another#1"]
    (one,) = found(Rows([("c/1", n, label, 1.0) for n, label in enumerate(labels)]))
    assert one.label.tolist() == [label is not None for label in labels]
    assert one.causes == (
        ShapedTicks(1, 3, "broker_down", DOWN, "c/2"),
        ShapedTicks(4, 5, "broker_down", DOWN, "c/2"),
    )


def test_only_metrics_that_are_wanted_and_there_are_reported() -> None:
    """An entity without any is left out; so are samples of the collection itself."""
    rows = Rows([("c/2", 0, None, None), ("c/1", 0, None, 1.0)])
    assert [(one.entity, one.values.columns) for one in found(rows)] == [("c/1", [BYTES])]
    assert [one.entity for one in found(rows, BYTES)] == ["c/1"]
    assert found(rows, OTHER) == []
    assert found(rows, TOPIC.numeric[0].name) == []


@pytest.mark.parametrize(
    ("flags", "first", "train"),
    [
        ([0] * 8, None, 2),
        ([0] * 7 + [1], 7, 2),
        ([0, 1] + [0] * 10, 1, 1),
        ([1, 0, 0, 0], 0, 0),
    ],
)
def test_a_detector_learns_from_what_comes_before_the_first_anomaly(
    flags: list[int], first: Any, train: int
) -> None:
    """And from no more than a quarter."""
    assert (series(flags).first, series(flags).train) == (first, train)
