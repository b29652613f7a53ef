"""What New Relic's own integrations (nri-kafka, nri-rabbitmq) call an entity, beside our path of it."""

import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import (
    BROKER,
    BROKER_TOPIC,
    GROUP_CLIENT,
    NODE,
    QUEUE,
    STRING,
    TOPIC,
)

_PREFIXES = {
    BROKER: "broker:",
    BROKER_TOPIC: "broker:",
    TOPIC: "topic:",
    NODE: "node:",
    QUEUE: "queue:",
}

EVENT_NAME, DISPLAY_NAME = "event_name", "display_name"
"""Columns that `with_names` adds: `entityName` and `displayName` in events."""


def with_names(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the entities' names as nri-kafka and nri-rabbitmq have them.

    `broker:<host>:<port>` (the id where no host is known), `topic:<name>`, `node:<name>` and
    `queue:<virtual host>/<name>` (of the virtual host `/` `queue:/<name>`); others are called by their
    path. A broker's row of a topic is the broker's. The display name has neither the prefix nor the
    cluster. RabbitMQ's names are as they are, where a path is encoded.
    """
    display = _display(batch)
    names = _prefixed(batch, display)
    return batch.append_column(EVENT_NAME, names).append_column(DISPLAY_NAME, display)


def _prefixed(batch: pa.RecordBatch, display: pa.DictionaryArray) -> pa.DictionaryArray:
    prefix = _PREFIXES.get(entity_type_of(batch))
    if prefix is None:
        return batch.column("entity_name")
    words = pc.binary_join_element_wise(prefix, display.dictionary, "")
    names = pa.DictionaryArray.from_arrays(display.indices, words)
    if entity_type_of(batch) is not QUEUE:
        return names
    own = pc.is_valid(_in_its_vhost(batch))
    return _either(own, names, batch.column("entity_name"))


def _in_its_vhost(batch: pa.RecordBatch) -> pa.StringArray:
    """Virtual host and name of queues, as nri-rabbitmq joins them; null of those that are not RabbitMQ's."""
    vhosts, queues = (batch.column(name).cast(pa.string()) for name in ("vhost", "queue"))
    below = pc.if_else(
        pc.ends_with(vhosts, "/"), vhosts, pc.binary_join_element_wise(vhosts, "/", "")
    )
    return pc.binary_join_element_wise(below, queues, "")


def _either(
    own: pa.BooleanArray, names: pa.DictionaryArray, others: pa.DictionaryArray
) -> pa.Array:
    words = pc.if_else(own, names.cast(pa.string()), others.cast(pa.string()))
    return words.dictionary_encode().cast(STRING)


def _display(batch: pa.RecordBatch) -> pa.DictionaryArray:
    entity_type = entity_type_of(batch)
    if entity_type in (BROKER, BROKER_TOPIC):
        ids = batch.column("broker_id").cast(pa.string())
        known = "broker.host" in batch.schema.names
        hosts = batch.column("broker.host").cast(pa.string()) if known else None
        return (ids if hosts is None else pc.coalesce(hosts, ids)).dictionary_encode()
    column = {TOPIC: "topic", NODE: "node", GROUP_CLIENT: "client_id"}.get(entity_type)
    if column is not None:
        return batch.column(column)
    paths = batch.column("entity_name")
    names = pc.replace_substring_regex(paths.dictionary, "^[^/]*/", "")
    below = pa.DictionaryArray.from_arrays(paths.indices, names).cast(STRING)
    if entity_type is not QUEUE:
        return below
    named = _in_its_vhost(batch)
    return _either(pc.is_valid(named), named, below)
