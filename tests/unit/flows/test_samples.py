"""What is said of files that hold no samples, or what samples cannot be."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.samples import SamplesError, find_samples
from tests.hybrid_morning import hybrid, truth

SAMPLE: dict[str, Any] = {
    "timestamp": pa.array([0], pa.timestamp("ms", "UTC")),
    "cluster_name": ["c"],
    "entity_name": ["c/broker-1"],
}


def written(folder: Path, table: pa.Table) -> str:
    """A file in the layout of samples; gives its root."""
    file = folder / "type=broker/date=1970-01-01/mine.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(table, file)
    return str(folder)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"a": [1]}), "has no column timestamp, cluster_name, entity_name"),
        (pa.table({**SAMPLE, "timestamp": [0]}), "has times as int64"),
        (
            pa.Table.from_arrays(
                [*pa.table(SAMPLE).columns, pa.array(["c"])], [*SAMPLE, "cluster_name"]
            ),
            "has the column cluster_name twice",
        ),
    ],
)
def test_a_file_without_samples_is_named_with_what_it_lacks(
    tmp_path: Path, table: pa.Table, reason: str
) -> None:
    """Where there is no other that has any."""
    root = written(tmp_path, table)
    with pytest.raises(SamplesError, match=rf"no samples there: .*mine\.parquet {reason}"):
        find_samples(root)


@pytest.mark.parametrize("moment", [2**62, -(2**62)])
def test_a_time_beyond_the_calendar_is_refused(tmp_path: Path, moment: int) -> None:
    """Such as nanoseconds that are said to be milliseconds."""
    times = pa.array([moment], pa.timestamp("ms", "UTC"))
    root = written(tmp_path, pa.table({**SAMPLE, "timestamp": times}))
    with pytest.raises(SamplesError, match=f"time is {moment} ms since 1970"):
        find_samples(root).span()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("entities", 5, "`entities` is of another type"),
        ("start", None, "`start` is null"),
        ("label", None, "`label` is null"),
    ],
)
def test_a_table_of_anomalies_that_is_none_is_named(
    tmp_path: Path, column: str, value: int | None, reason: str
) -> None:
    """With the column that others made of it."""
    truth(hybrid(tmp_path))
    (file,) = (tmp_path / "_anomalies").glob("*.parquet")
    table = pl.read_parquet(file)
    table.with_columns(pl.lit(value).alias(column)).write_parquet(file)
    with pytest.raises(SamplesError, match=rf"{file.name}: is no table of anomalies: {reason}"):
        find_samples(str(tmp_path)).anomalies()
