"""The anomalies of a simulation, as a detector is held against them."""

import polars as pl
import pytest

from flows.anomalies.ground_truth import GroundTruth, ground_truth_of
from operators.simulate.anomalies.table import ANOMALIES, anomaly_table
from tests.samples import NEW_YEAR
from tests.simulated_fleets import spec_of

MINUTE = 60_000


def table(*anomalies: tuple[str, int, int, list[str]]) -> pl.DataFrame:
    """A table of anomalies: label, start and end in minutes, and the entities that they shape."""
    times = pl.Datetime("ms", "UTC")
    return pl.DataFrame(
        {
            "label": [label for label, *_ in anomalies],
            "kind": ["spike"] * len(anomalies),
            "entity": [entities[0] for *_, entities in anomalies],
            "start": pl.Series([NEW_YEAR + s * MINUTE for _, s, _, _ in anomalies]).cast(times),
            "end": pl.Series([NEW_YEAR + e * MINUTE for _, _, e, _ in anomalies]).cast(times),
            "entities": [entities for *_, entities in anomalies],
        }
    )


TABLE = table(
    ("early", 0, 10, ["sim/a"]), ("both", 5, 20, ["sim/a", "sim/b"]), ("late", 30, 40, ["sim/b"])
)


def within(first: int, last: int) -> GroundTruth:
    """Those under way between two minutes."""
    return ground_truth_of(TABLE, NEW_YEAR + first * MINUTE, NEW_YEAR + last * MINUTE)


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        (0, 40, ["early", "both", "late"]),
        (10, 30, ["early", "both", "late"]),
        (11, 29, ["both"]),
        (21, 29, []),
    ],
)
def test_those_are_taken_that_are_under_way(first: int, last: int, labels: list[str]) -> None:
    """Their first and last moments belong to them."""
    found = within(first, last)
    assert list(found.labels) == labels
    assert len(found) == len(labels)


def test_each_entity_knows_what_shapes_it_by_places_in_what_was_taken() -> None:
    """Root or not; what was left out has no place."""
    found = within(11, 40)
    assert {name: places.tolist() for name, places in found.touching.items()} == {
        "sim/a": [0],
        "sim/b": [0, 1],
    }
    assert found.roots == ("sim/a", "sim/b")
    assert found.start.tolist() == [NEW_YEAR + 5 * MINUTE, NEW_YEAR + 30 * MINUTE]


def test_it_reads_the_table_that_a_simulation_makes() -> None:
    """Its columns are those of `ANOMALIES`."""
    assert set(TABLE.columns) <= set(ANOMALIES.names)
    spike = {"kind": "spike", "entity": "sim/orders", "start": "2026-01-01T10:00:00Z"}
    spec = spec_of(anomalies=[spike])
    made = pl.from_arrow(anomaly_table([spec], NEW_YEAR, NEW_YEAR + 1440 * MINUTE))
    assert isinstance(made, pl.DataFrame)
    found = ground_truth_of(made, NEW_YEAR, NEW_YEAR + 1440 * MINUTE)
    assert found.kinds == ("spike",)
    assert found.roots == ("sim/orders",)
    assert "sim/orders" in found.touching
