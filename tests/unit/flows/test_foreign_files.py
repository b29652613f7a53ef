"""Samples in files that others rewrote are samples still."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from flows.foreign_files import (
    as_samples,
    in_milliseconds,
    is_as_written,
    lacking,
    polars_schema,
)
from operators.schema.arrow import schema_of
from operators.schema.metrics import BROKER, TOPIC
from tests.samples import NEW_YEAR, numbered

OWN = numbered([1, 2])
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rewritten(**columns: Any) -> pl.DataFrame:
    """A row of a broker as another program might write it."""
    row = {"timestamp": NOON, "cluster_name": "prod", "entity_name": "prod/broker-1"}
    return pl.DataFrame({name: [value] for name, value in {**row, **columns}.items()})


def read(frame: pl.DataFrame) -> pl.DataFrame:
    """Its samples of brokers."""
    return as_samples(frame.lazy(), frame.columns, BROKER).collect()


def test_our_own_files_are_known_by_their_columns() -> None:
    """Also with a column of another version, and with other integers in a dictionary."""
    schema = OWN.schema
    assert is_as_written(schema, BROKER)
    assert is_as_written(schema.append(pa.field("later", pa.int64())), BROKER)
    place = schema.get_field_index("entity_name")
    small = pa.field("entity_name", pa.dictionary(pa.int8(), pa.string()))
    assert is_as_written(schema.set(place, small), BROKER)
    plain = pa.field("entity_name", pa.string())
    assert not is_as_written(schema.set(place, plain), BROKER)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (OWN.schema, None),
        (pa.schema([("timestamp", pa.timestamp("us"))]), "has no column cluster_name, entity_name"),
        (pa.schema([*OWN.schema, ("entity_name", pa.string())]), "has the column entity_name twice"),
        (
            pa.schema([(name, pa.string()) for name in ("timestamp", "cluster_name", "entity_name")]),
            "has times as string: write `timestamp` as a timestamp, UTC",
        ),
    ],
)  # fmt: skip
def test_what_a_file_lacks_is_said(schema: pa.Schema, said: str | None) -> None:
    """Without a time, a cluster and an entity nothing is a sample."""
    assert lacking(schema) == said


def test_a_file_of_others_has_the_columns_of_samples() -> None:
    """In our types and order; what it does not have is null."""
    made = read(
        rewritten(broker_id=1.0, note="theirs").with_columns(
            pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
        )
    )
    assert dict(made.schema) == polars_schema(BROKER)
    assert made.columns == schema_of(BROKER).names
    assert made["timestamp"].to_list() == [NOON]
    assert made["broker_id"].to_list() == [1]
    assert made["broker.cpuUsage"].null_count() == 1


def test_values_that_cannot_be_what_a_column_holds_are_null() -> None:
    """The row stays."""
    made = read(rewritten(broker_id="one", **{"broker.cpuUsage": "12.5"}))
    assert made["broker_id"].to_list() == [None]
    assert made["broker.cpuUsage"].to_list() == [12.5]


def test_times_without_a_zone_are_utc_and_others_keep_their_moment() -> None:
    """In ms."""
    bare = rewritten().with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    tokyo = rewritten().with_columns(pl.col("timestamp").dt.convert_time_zone("Asia/Tokyo"))
    for frame in (bare, tokyo):
        assert read(frame)["timestamp"].to_list() == [NOON]
        assert in_milliseconds(frame).schema["timestamp"] == pl.Datetime("ms", "UTC")


def test_of_a_file_with_all_types_the_others_are_left_out() -> None:
    """By the column that says what a row is of."""
    both = pl.concat([rewritten(entity_type=kind.name) for kind in (BROKER, TOPIC)])
    assert read(both).height == 1


def test_our_own_rows_are_the_same_after_another_program() -> None:
    """DuckDB and polars write words without dictionaries and times in µs."""
    frame = pl.from_arrow(OWN)
    assert isinstance(frame, pl.DataFrame)
    words = frame.with_columns(
        pl.col(pl.Categorical).cast(pl.String), pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
    )
    assert read(words).to_dicts() == frame.to_dicts()
    assert frame["timestamp"].dt.epoch("ms").to_list() == [NEW_YEAR + 30_000, NEW_YEAR + 60_000]
