"""A target's tick as data."""

from functools import lru_cache

import pyarrow as pa

from operators.collect.samples import OWN, ClusterIdentity, SampleIdentity, collected_batch
from operators.schema.arrow import TIMESTAMP, entity_type_of, only, repeated, schema_of
from operators.schema.metrics import CLUSTER, COLLECTION
from operators.ticks import Outcome, TickResult


def collection_row(
    identity: SampleIdentity, result: TickResult, *, known: bool = True
) -> pa.RecordBatch:
    """One COLLECTION row that says how a tick went, so that a hole explains itself.

    `collection.ok` is 1 only where the tick gave all its samples; a partial scrape has 0 with
    its entities counted. A tick that was not tried has null attempts and duration, and its
    outcome as the error class. `known` says whether the target is the cluster's provider's own kind,
    and no custom collector or generator.
    """
    kind = str(result.tick.kind)
    tried = result.attempts > 0
    complete = result.outcome is Outcome.COMPLETED and result.error_class is None
    entities = sum(
        batch.num_rows
        for batch in result.batches
        if entity_type_of(batch) is not CLUSTER and only(batch) is None
    )
    error_class = result.error_class
    if error_class is None and result.outcome is not Outcome.COMPLETED:
        error_class = result.outcome.value
    row = _alike(
        ClusterIdentity(
            identity.cluster,
            identity.environment,
            identity.account_id,
            identity.cluster_id,
            identity.provider if known else OWN,
        ),
        kind,
        complete,
        result.attempts if tried else None,
        entities,
        result.missed,
        error_class,
    )
    row = _put(row, "timestamp", pa.array([result.tick.start], pa.int64()).view(TIMESTAMP))
    if tried:
        row = _put(row, "collection.duration", pa.array([result.duration], pa.float64()))
    return row if result.error is None else _put(row, "collection.error", repeated(result.error, 1))


def _put(row: pa.RecordBatch, column: str, value: pa.Array) -> pa.RecordBatch:
    schema = schema_of(COLLECTION)
    place = schema.get_field_index(column)
    return row.set_column(place, schema.field(place), value)


@lru_cache(maxsize=1024)
def _alike(
    identity: ClusterIdentity,
    kind: str,
    complete: bool,
    attempts: int | None,
    entities: int,
    missed: int,
    error_class: str | None,
) -> pa.RecordBatch:
    """What is the same in a target's rows from tick to tick, while all goes well."""
    return collected_batch(
        identity,
        0,
        COLLECTION,
        [(kind,)],
        [kind],
        {
            "target_kind": kind,
            "collection.ok": [int(complete)],
            "collection.attempts": [attempts],
            "collection.entities": [entities],
            "collection.missed": [missed],
            "collection.errorClass": [error_class],
        },
    )
