"""From batches of samples to Kafka messages within the size that a broker takes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import SCHEMA_VERSION, entity_type_of, one_batch
from operators.schema.ipc import encode
from operators.schema.kafka import ENTITY_TYPE_HEADER, MESSAGE_SPAN, SCHEMA_VERSION_HEADER

OVERHEAD = 1_024
"""Bytes of a message that are not its value: key, headers and what the protocol adds."""


@dataclass(frozen=True, slots=True)
class Message:
    """One batch of one cluster and entity type, encoded. `timestamp` is the first tick's (ms)."""

    samples: pa.RecordBatch
    cluster: str
    timestamp: int
    value: bytes = field(repr=False)

    @property
    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """The schema version and the entity type."""
        return [
            (SCHEMA_VERSION_HEADER, str(SCHEMA_VERSION).encode()),
            (ENTITY_TYPE_HEADER, entity_type_of(self.samples).name.encode()),
        ]


def messages(samples: Iterable[pa.RecordBatch], most_bytes: int) -> Iterator[Message]:
    """All samples, in order for each cluster and entity type.

    Consecutive batches of the same are joined. A message is larger than `most_bytes` only where
    a single sample is.
    """
    groups: dict[tuple[str, str], list[pa.RecordBatch]] = {}
    for batch in samples:
        for cluster, rows in _by_cluster(batch):
            groups.setdefault((cluster, entity_type_of(batch).name), []).append(rows)
    for (cluster, _), batches in groups.items():
        for rows in _by_span(one_batch(batches)):
            yield from _encoded(cluster, rows, most_bytes - OVERHEAD)


def _encoded(cluster: str, rows: pa.RecordBatch, most_bytes: int) -> Iterator[Message]:
    value = encode(rows)
    if len(value) > most_bytes and rows.num_rows > 1:
        half = rows.num_rows // 2
        yield from _encoded(cluster, rows.slice(0, half), most_bytes)
        yield from _encoded(cluster, rows.slice(half), most_bytes)
    else:
        timestamp = pc.min(rows.column("timestamp")).value
        yield Message(rows, cluster, timestamp, value)


def _by_cluster(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    names = batch.column("cluster_name")
    clusters = pc.unique(names.indices).to_pylist()
    if len(clusters) == 1 and clusters[0] is not None:
        yield names.dictionary[clusters[0]].as_py(), batch
        return
    for name in pc.unique(names.cast(pa.string())).to_pylist():
        same = pc.is_null(names) if name is None else pc.equal(names.cast(pa.string()), name)
        yield name or "", batch.filter(same)


def _by_span(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    times = rows.column("timestamp").view(pa.int64()).to_numpy()
    if not len(times) or times.max() - times.min() < MESSAGE_SPAN:
        yield rows
        return
    spans = (times - times.min()) // MESSAGE_SPAN
    for span in np.unique(spans):
        yield rows.filter(pa.array(spans == span))
