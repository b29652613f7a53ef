"""What New Relic's own Kafka integration (nri-kafka) calls an entity, beside our path of it."""

import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, STRING, TOPIC

EVENT_NAME, DISPLAY_NAME = "event_name", "display_name"
"""Columns that `with_names` adds: `entityName` and `displayName` in events."""


def with_names(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the entities' names as nri-kafka has them.

    `broker:<host>:<port>` (the id where no host is known) and `topic:<name>`; others are called
    by their path. The display name has neither the prefix nor the cluster.
    """
    display = _display(batch)
    names = _prefixed(batch, display)
    return batch.append_column(EVENT_NAME, names).append_column(DISPLAY_NAME, display)


def _prefixed(batch: pa.RecordBatch, display: pa.DictionaryArray) -> pa.DictionaryArray:
    prefix = {BROKER: "broker:", TOPIC: "topic:"}.get(entity_type_of(batch))
    if prefix is None:
        return batch.column("entity_name")
    words = pc.binary_join_element_wise(prefix, display.dictionary, "")
    return pa.DictionaryArray.from_arrays(display.indices, words)


def _display(batch: pa.RecordBatch) -> pa.DictionaryArray:
    entity_type = entity_type_of(batch)
    if entity_type is BROKER:
        ids = batch.column("broker_id").cast(pa.string())
        known = "broker.host" in batch.schema.names
        hosts = batch.column("broker.host").cast(pa.string()) if known else None
        return (ids if hosts is None else pc.coalesce(hosts, ids)).dictionary_encode()
    if entity_type is TOPIC:
        return batch.column("topic")
    paths = batch.column("entity_name")
    names = pc.replace_substring_regex(paths.dictionary, "^[^/]*/", "")
    return pa.DictionaryArray.from_arrays(paths.indices, names).cast(STRING)
