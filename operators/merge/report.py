"""A target's tick as data."""

import pyarrow as pa

from operators.collect.samples import OWN, SampleIdentity, collected_batch
from operators.schema.arrow import entity_type_of, only
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
    return collected_batch(
        identity,
        result.tick.start,
        COLLECTION,
        [(kind,)],
        [kind],
        {
            "target_kind": kind,
            "collection.ok": [int(complete)],
            "collection.attempts": [result.attempts if tried else None],
            "collection.duration": [result.duration if tried else None],
            "collection.entities": [entities],
            "collection.missed": [result.missed],
            "collection.errorClass": [error_class],
            "collection.error": [result.error],
        },
        identity.provider if known else OWN,
    )
