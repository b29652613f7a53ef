"""A cluster's row of one tick, joined from what its kinds know of it."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from operators.collect.samples import Identity, cluster_part
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER


def cluster_row(identity: Identity, tick: int, parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One CLUSTER row at `tick` (ms) from the parts that each kind gave of it.

    Batches of other entity types among `parts` are passed over. A column that no part knows is
    null. `cluster.healthScore` is made of the joined columns; see `health_score`.
    """
    known: dict[str, Any] = {}
    for part in parts:
        if entity_type_of(part) is CLUSTER and part.num_rows:
            row = part.select([metric.name for metric in CLUSTER.metrics]).to_pylist()[0]
            known |= {name: value for name, value in row.items() if value is not None}
    known["cluster.healthScore"] = health_score(
        known.get("cluster.availability"), known.get("cluster.errorRate")
    )
    return cluster_part(identity, tick, known)


def health_score(availability: float | None, error_rate: float | None) -> float | None:
    """0 to 100: min(100, 0.2 · max(0, 100 − 10 · errors) + 0.8 · availability), both in percent.

    The platform's formula. Without an error rate (no broker page) it is the availability alone,
    without an availability it is None.
    """
    if availability is None or error_rate is None:
        return availability
    return min(100.0, 0.2 * max(0.0, 100 - 10 * error_rate) + 0.8 * availability)
