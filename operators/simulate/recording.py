"""A recorded metric as a shape that is looped."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.schema.nearest import suggestion
from operators.simulate.local_time import DAY

if TYPE_CHECKING:
    import pyarrow as pa

_TIMES = ("timestamp", "time", "datetime", "date", "ds")
"""Names of the column of times, of which the first that is there is taken."""

_UNITS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))
"""Numbers since 1970 from so many on are of that unit; below all they are seconds."""


@lru_cache(maxsize=32)
def recording(path: str, metric: str, entity: str | None) -> tuple[Ints, Floats]:
    """Moments (ms since 1970) and the factors at them; the last is the first again, a loop later.

    Raises:
        ValueError: it cannot be read, has no such column, or less than two values.
    """
    moments, values = _series(path, metric, entity)
    if len(moments) < 2 or not values.mean() > 0:
        raise ValueError(f"{path} has no two samples of `{metric}` of {entity or 'any entity'}")
    end = moments[-1] + (moments[1] - moments[0])
    begin = end - _loop(int(end - moments[0]))
    inside = moments >= begin
    moments, values = moments[inside], values[inside]
    if len(moments) < 2:
        raise ValueError(f"{path} has no two samples of `{metric}` in its last whole day")
    factors = np.append(values, values[0]) / values.mean()
    # Where a sample is missing at the loop's begin, its end lies as far from the first one.
    return np.append(moments, moments[0] + (end - begin)), factors


def _loop(length: int) -> int:
    """The part of a length (ms) that is looped: whole weeks, else whole days, else all of it."""
    for whole in (7 * DAY, DAY):
        if length >= whole:
            return length // whole * whole
    return length


def _series(path: str, metric: str, entity: str | None) -> tuple[Ints, Floats]:
    """Means over all entities, or of one, in the order of time."""
    import pyarrow.compute as pc

    try:
        table, time = _table(path, metric, entity)
        if entity is not None:
            table = table.filter(pc.equal(table["entity_name"].cast("string"), entity))
        moments = _milliseconds(table[time])
        table = table.set_column(table.column_names.index(time), "moment", moments)
        means = table.group_by("moment").aggregate([(metric, "mean")]).sort_by("moment")
    except Exception as error:
        raise ValueError(f"cannot read `{metric}` from {path}: {error}") from error
    means = means.filter(pc.is_valid(means[f"{metric}_mean"]))
    return means["moment"].to_numpy(), means[f"{metric}_mean"].to_numpy()


def _table(path: str, metric: str, entity: str | None) -> "tuple[pa.Table, str]":
    """The columns that are wanted, and what that of times is called."""
    if Path(path).suffix.lower() in (".csv", ".tsv", ".txt"):
        import pyarrow.csv as pv

        with Path(path).open(encoding="utf-8-sig") as file:
            head = file.readline()
        separator = max((",", ";", "\t", "|"), key=head.count)
        table = pv.read_csv(path, parse_options=pv.ParseOptions(delimiter=separator))
        names = [name.strip() for name in table.column_names]
        table = table.rename_columns(names)
    else:
        import pyarrow.dataset as ds

        table = ds.dataset(path, format="parquet", partitioning=None)
        if metric not in table.schema.names:
            # Of a folder with samples of all types, the files that have it.
            having = [f.path for f in table.get_fragments() if metric in f.physical_schema.names]
            if having:
                table = ds.dataset(having, format="parquet", filesystem=table.filesystem)
        names = table.schema.names
    time = next((name for name in _TIMES if name in names), None)
    if time is None:
        raise ValueError(f"no column of times: name it {', '.join(_TIMES[:-1])} or {_TIMES[-1]}")
    if metric not in names:
        raise ValueError(f"no column `{metric}`; {suggestion(metric, names)}")
    if entity is not None and "entity_name" not in names:
        raise ValueError("no column `entity_name`: leave `entity` out")
    columns = [time, metric, *(["entity_name"] if entity is not None else [])]
    return (table.to_table(columns) if hasattr(table, "to_table") else table.select(columns)), time


def _milliseconds(times: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Times since 1970 in ms, of timestamps, ISO 8601 (UTC where no zone stands) or numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(times.type):
        times = times.cast(times.type.value_type)
    if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
        from datetime import UTC, datetime

        parsed = [datetime.fromisoformat(text) for text in times.to_pylist()]
        aware = [at if at.tzinfo is not None else at.replace(tzinfo=UTC) for at in parsed]
        return pa.chunked_array([pa.array([round(at.timestamp() * 1000) for at in aware])])
    if pa.types.is_integer(times.type) or pa.types.is_floating(times.type):
        largest = pc.max(times).as_py() or 0
        unit = next((unit for least, unit in _UNITS if largest >= least), "s")
        scale = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}[unit]
        return pc.multiply(times.cast(pa.float64(), safe=False), scale).cast(pa.int64(), safe=False)
    return times.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
