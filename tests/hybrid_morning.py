"""Parquet files of hand-made samples: a hybrid morning with fills, gaps, failures and an anomaly."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from operators.schema.arrow import sample_batch
from operators.schema.guid import entity_guid
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    COLLECTION,
    CONSUMER_GROUP,
    TOPIC,
    EntityType,
)
from operators.simulate.anomalies.table import ANOMALIES
from sinks.parquet.files import FileContext, HeldRows, SampleFiles
from sinks.parquet.store import Store
from tests.samples import INTERVAL, NEW_YEAR

TICKS = 240
"""Two hours."""
FILLED = range(60, 80)
"""Ticks of which `prod-eu` was not reached."""
GONE = range(120, 140)
"""Ticks of which nothing is there of `prod-us`."""
SICK = range(160, 180)
"""Ticks that an anomaly shaped in `sim-eu`."""
LABEL = "broker_down:sim-eu/broker-2:2026-01-01T01:20:00Z"


def write(path: Path, batches: Iterable[pa.RecordBatch], partition: str = "all") -> Path:
    """Publish batches as one file an entity type and date, as a sink does."""
    files = SampleFiles(FileContext(Store(str(path)), "run", {}, HeldRows()), partition, 0)
    for batch in batches:
        files.write(batch)
    files.finish()
    files.publish()
    return path


def rows(
    entity_type: EntityType,
    cluster: str,
    ticks: Sequence[int],
    name: str | int | None = None,
    origin: str = "collected",
    late: bool = False,
    **columns: Any,
) -> pa.RecordBatch:
    """Samples of one entity at some ticks (numbers of intervals since new year).

    Columns' dots are written as two underscores.
    """
    path = {BROKER: f"{cluster}/broker-{name}", CLUSTER: cluster}.get(
        entity_type, f"{cluster}/{name}"
    )
    identity = {i.column: [name] * len(ticks) for i in entity_type.identity}
    return sample_batch(
        entity_type,
        len(ticks),
        {
            "timestamp": [NEW_YEAR + tick * INTERVAL for tick in ticks],
            "entity_guid": entity_guid(1, entity_type.name, "kafka", cluster, str(name)),
            "entity_name": path,
            "cluster_name": cluster,
            "provider": "kafka",
            "environment": "production",
            "origin": origin,
            "late": [late] * len(ticks),
            **identity,
            **{
                key.replace("__", "."): value
                if isinstance(value, list | str) or value is None
                else [value] * len(ticks)
                for key, value in columns.items()
            },
        },
    )


def cluster_rows(
    cluster: str, ticks: Sequence[int], origin: str = "collected", **columns: Any
) -> Iterable[pa.RecordBatch]:
    """Samples of a small cluster: itself, three brokers, a topic and two groups."""
    level = [1000.0 + tick for tick in ticks]
    yield rows(
        CLUSTER,
        cluster,
        ticks,
        origin=origin,
        cluster__messagesInPerSecond=level,
        cluster__bytesInPerSecond=[v * 1000 for v in level],
        cluster__totalLag=[300 + tick for tick in ticks],
        cluster__healthScore=99.0,
        cluster__availability=100.0,
        cluster__errorRate=0.1,
        cluster__underReplicatedPartitions=0,
        cluster__offlinePartitionsCount=0,
        cluster__activeBrokerCount=3,
        **columns,
    )
    for broker in (1, 2, 3):
        yield rows(
            BROKER,
            cluster,
            ticks,
            broker,
            origin,
            broker__cpuUsage=[10.0 * broker] * len(ticks),
            broker__messagesInPerSecond=[v / 3 for v in level],
            **columns,
        )
    yield rows(TOPIC, cluster, ticks, "orders", origin, topic__messagesInPerSecond=level, **columns)
    for group, lag in (("billing", 200), ("audit", 100)):
        yield rows(
            CONSUMER_GROUP,
            cluster,
            ticks,
            group,
            origin,
            consumerGroup__totalLag=[lag + tick // 2 for tick in ticks],
            consumerGroup__lagSeconds=0.5,
            **columns,
        )


def sick_cluster() -> Iterable[pa.RecordBatch]:
    """Samples of the simulated cluster, `sim-eu`."""
    yield from cluster_rows("sim-eu", [t for t in range(TICKS) if t not in SICK], "simulated")
    yield from cluster_rows("sim-eu", SICK, "simulated", anomaly=LABEL)


def hybrid(path: Path) -> Path:
    """Two collected clusters, one filled for a while and one with a gap, and a simulated one."""
    every = range(TICKS)
    reached = [t for t in every if t not in FILLED]
    batches = [
        *cluster_rows("prod-eu", reached),
        *cluster_rows("prod-eu", FILLED, "filled"),
        rows(BROKER, "prod-eu", FILLED[:3], 1, late=True, broker__cpuUsage=12.0),
        *cluster_rows("prod-us", [t for t in every if t not in GONE]),
        *sick_cluster(),
    ]
    for kind in ("brokers", "topics", "groups"):
        batches += [
            rows(COLLECTION, "prod-eu", reached, kind, collection__ok=1, collection__duration=0.2),
            rows(
                COLLECTION,
                "prod-eu",
                FILLED,
                kind,
                collection__ok=0,
                collection__errorClass="timeout",
                collection__error="broker-1:9092: no answer in 10 s",
            ),
        ]
    return write(path, batches)


def truth(path: Path, *anomalies: dict[str, Any]) -> Path:
    """Write the table of anomalies beside samples; by default the one of LABEL."""
    one = {
        "kind": "broker_down",
        "label": LABEL,
        "cluster_name": "sim-eu",
        "entity": "sim-eu/broker-2",
        "entities": ["sim-eu/broker-2", "sim-eu/broker-1", "sim-eu"],
        "start": NEW_YEAR + SICK.start * INTERVAL,
        "peak": NEW_YEAR + (SICK.start + 4) * INTERVAL,
        "end": NEW_YEAR + SICK.stop * INTERVAL,
    }
    folder = path / "_anomalies"
    folder.mkdir(parents=True)
    found = [{**one, **anomaly} for anomaly in anomalies] or [one]
    pq.write_table(pa.Table.from_pylist(found, ANOMALIES), folder / "anomalies.parquet")
    return path
