"""Samples for tests: numbered rows, so that each differs from every other."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from operators.schema.arrow import sample_batch
from operators.schema.guid import entity_guid
from operators.schema.metrics import BROKER, EntityType

NEW_YEAR = 1_767_225_600_000
"""2026-01-01T00:00:00Z in milliseconds: the one beginning of tests' clocks, benchmarks and drawings."""
HOUR = 3_600_000
MORNING = NEW_YEAR + 10 * HOUR
MONDAY = NEW_YEAR + 4 * 24 * HOUR
"""Its midnight."""
INTERVAL = 30_000


def numbered(
    numbers: Iterable[int],
    cluster: str = "sim-eu",
    entity_type: EntityType = BROKER,
    start: int = NEW_YEAR,
    interval: int = INTERVAL,
) -> pa.RecordBatch:
    """One row for each number: the entity named by it, at tick `start + number * interval`."""
    numbers = list(numbers)
    metric = next(m for m in entity_type.metrics if m.type == pa.float64())
    return sample_batch(
        entity_type,
        len(numbers),
        {
            "timestamp": [start + n * interval for n in numbers],
            "entity_guid": [f"{entity_type.label}-{n}" for n in numbers],
            "entity_name": [f"{cluster}/{n}" for n in numbers],
            "cluster_name": cluster,
            "provider": "kafka",
            "environment": "test",
            "origin": "simulated",
            metric.name: [n / 7 for n in numbers],
        },
    )


def tick(
    timestamp: int,
    rows: int = 1,
    entity_type: EntityType = BROKER,
    cluster: str = "c",
    **columns: Sequence[Any] | str | None,
) -> pa.RecordBatch:
    """One tick of a cluster's entities, numbered from 0, with simple values."""
    names = [str(number) for number in range(rows)]
    identity: dict[str, Any] = {
        i.column: names if pa.types.is_dictionary(i.type) else range(rows)
        for i in entity_type.identity
    }
    values: dict[str, Any] = {
        "timestamp": [timestamp] * rows,
        "entity_guid": [entity_guid(1, entity_type.name, "kafka", cluster, n) for n in names],
        "entity_name": [f"{cluster}/{name}" for name in names],
        "cluster_name": cluster,
        "provider": "kafka",
        "environment": "test",
        "origin": "simulated",
        **identity,
        entity_type.numeric[0].name: [float(n) for n in range(rows)],
        **columns,
    }
    return sample_batch(entity_type, rows, values)


def published(path: Path) -> list[Path]:
    """The Parquet files that readers see, sorted."""
    return sorted(path.glob("type=*/date=*/*.parquet"))


def numbers_in(path: Path, cluster: str | None = None) -> list[int]:
    """The numbers of all published rows, sorted; a row that is there twice is there twice."""
    return _numbers_of(published(path), cluster)


def numbers_in_delta(path: Path, cluster: str | None = None) -> list[int]:
    """The same of the Delta tables below a path: of the files that their logs name."""
    from deltalake import DeltaTable  # not in processes that only make samples

    tables = [DeltaTable(log.parent) for log in path.glob("*/_delta_log")]
    return _numbers_of([Path(file) for table in tables for file in table.file_uris()], cluster)


def _numbers_of(files: Iterable[Path], cluster: str | None) -> list[int]:
    found: list[int] = []
    for file in files:
        rows = pq.ParquetFile(file).read(["entity_name", "cluster_name"]).to_pylist()
        found += [
            int(row["entity_name"].rpartition("/")[2])
            for row in rows
            if cluster in (None, row["cluster_name"])
        ]
    return sorted(found)
