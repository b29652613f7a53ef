"""Samples in files that others rewrote: with other units, types and names of files.

DuckDB and polars write times in µs, words without dictionaries, and files by names of their own;
whatever has the columns of samples is read as samples.
"""

from collections.abc import Mapping, Sequence

import polars as pl
import pyarrow as pa

from operators.schema.arrow import TIMESTAMP, schema_of
from operators.schema.metrics import STRING, EntityType

TYPES: Mapping[pa.DataType, pl.DataType] = {
    STRING: pl.Categorical(),
    TIMESTAMP: pl.Datetime("ms", "UTC"),
    pa.float64(): pl.Float64(),
    pa.int64(): pl.Int64(),
    pa.int32(): pl.Int32(),
    pa.int8(): pl.Int8(),
    pa.bool_(): pl.Boolean(),
}
"""What a column of samples is in polars."""

NEEDED = ("timestamp", "cluster_name", "entity_name")
"""Columns without which a file's rows are no samples; others are null where they are missing."""


def polars_schema(entity_type: EntityType) -> dict[str, pl.DataType]:
    """The columns of an entity type's samples."""
    return {field.name: TYPES[field.type] for field in schema_of(entity_type)}


def is_as_written(schema: pa.Schema, entity_type: EntityType) -> bool:
    """Whether a file has columns as mqpipe writes them, perhaps those of another version."""
    wanted = schema_of(entity_type)
    return all(
        field.name not in wanted.names or _alike(field.type, wanted.field(field.name).type)
        for field in schema
    )


def lacking(schema: pa.Schema) -> str | None:
    """What a file lacks that samples cannot do without, in words; None where it has all."""
    missing = [name for name in NEEDED if name not in schema.names]
    if missing:
        return f"has no column {', '.join(missing)}"
    twice = [name for name in schema.names if schema.names.count(name) > 1]
    if twice:
        return f"has the column {twice[0]} twice"
    kind = schema.field("timestamp").type
    if not pa.types.is_timestamp(kind):
        return f"has times as {kind}: write `timestamp` as a timestamp, UTC"
    return None


def as_samples(scan: pl.LazyFrame, columns: Sequence[str], entity_type: EntityType) -> pl.LazyFrame:
    """The rows of an entity type in a file that has these columns, as `schema_of` it has them.

    A value that cannot be what its column holds is null. Times without a zone are UTC.
    """
    if "entity_type" in columns:
        scan = scan.filter(pl.col("entity_type").cast(pl.String) == entity_type.name)
    return scan.select(
        _cast(name, dtype) if name in columns else pl.lit(None, dtype).alias(name)
        for name, dtype in polars_schema(entity_type).items()
    )


def in_milliseconds(frame: pl.DataFrame) -> pl.DataFrame:
    """A table with all its times in milliseconds, UTC."""
    times = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    return frame.with_columns(_cast(name, pl.Datetime("ms", "UTC")) for name in times)


def _cast(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        # In two steps: a time without a zone is UTC, and is not moved.
        return column.cast(pl.Datetime("ms", "UTC"), strict=False)
    if dtype == pl.Categorical():
        return column.cast(pl.String, strict=False).cast(dtype)
    return column.cast(dtype, strict=False)


def _alike(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_dictionary(wanted):
        return bool(pa.types.is_dictionary(found))
    return bool(found == wanted)
