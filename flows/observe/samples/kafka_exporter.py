"""The page by kafka_exporter's names, so that its dashboards work unchanged.

Names and labels are those of github.com/danielqsj/kafka_exporter 1.9; `cluster` is added, since a job
has several. Values of partitions are what the collection measured; of simulated clusters there are
none.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from flows.observe.samples.latest import Latest
from flows.observe.samples.lines import head, joined_batches, labels_of, last_rows, lines
from operators.schema.arrow import repeated
from operators.schema.metrics import CLUSTER, CONSUMER_GROUP, GROUP_TOPIC, TOPIC

MEASURES = ("offsets", "layout", "commits")
"""Raw measures that are kept for it."""

Kept = Mapping[str, Sequence[tuple[str, pa.RecordBatch]]]


def kafka_exporter(latest: Latest, openmetrics: bool) -> Iterator[tuple[str, bytes]]:
    """Every family of kafka_exporter's that samples or measures have."""
    kept = latest.kept()
    found: dict[str, list[bytes]] = {}
    for name, rows, column in _sources(kept):
        found.setdefault(name, []).append(lines(name, rows[0], rows[1][column]))
    for name, texts in found.items():
        if text := b"".join(texts):
            yield name, head(name, "gauge", _HELP[name], None, openmetrics=openmetrics) + text


_HELP = {
    "kafka_brokers": "Number of brokers in the cluster.",
    "kafka_topic_partitions": "Number of partitions of the topic.",
    "kafka_topic_partition_current_offset": "End offset of the partition.",
    "kafka_topic_partition_oldest_offset": "Start offset of the partition.",
    "kafka_topic_partition_leader": "Broker id of the partition's leader.",
    "kafka_topic_partition_replicas": "Number of the partition's replicas.",
    "kafka_topic_partition_in_sync_replica": "Number of the partition's in-sync replicas.",
    "kafka_topic_partition_leader_is_preferred": "1 where the leader is the first replica.",
    "kafka_topic_partition_under_replicated_partition": "1 where a replica is not in sync.",
    "kafka_consumergroup_current_offset": "Committed offset of the group on the partition.",
    "kafka_consumergroup_current_offset_sum": "Committed offsets of the group on the topic, summed.",
    "kafka_consumergroup_lag": "Messages that the group is behind on the partition.",
    "kafka_consumergroup_lag_sum": "Messages that the group is behind on the topic.",
    "kafka_consumergroup_members": "Number of the group's members.",
}

Rows = tuple[pa.Array, Mapping[str, pa.Array]]
"""Labels, and columns by name."""


def _sources(kept: Kept) -> Iterator[tuple[str, Rows, str]]:
    """By family: labels and columns, and the column that has its values."""
    if rows := _rows(kept.get(CLUSTER.name), {}):
        yield "kafka_brokers", rows, "cluster.activeBrokerCount"
    partition = {"topic": "topic", "partition": "partition"}
    if rows := _rows(kept.get(TOPIC.name), {"topic": "topic"}):
        yield "kafka_topic_partitions", rows, "topic.partitionCount"
    if rows := _rows(kept.get("offsets"), partition):
        yield "kafka_topic_partition_current_offset", rows, "end"
        yield "kafka_topic_partition_oldest_offset", rows, "start"
    if rows := _rows(kept.get("layout"), partition):
        labels, has = rows
        derived = {
            **has,
            "first": pc.equal(has["leader"], has["preferred"]),
            "under": pc.less(has["in_sync"], has["replicas"]),
        }
        for name, column in (
            ("leader", "leader"),
            ("replicas", "replicas"),
            ("in_sync_replica", "in_sync"),
            ("leader_is_preferred", "first"),
            ("under_replicated_partition", "under"),
        ):
            yield f"kafka_topic_partition_{name}", (labels, derived), column
    yield from _groups(kept, partition)


def _groups(kept: Kept, partition: Mapping[str, str]) -> Iterator[tuple[str, Rows, str]]:
    if rows := _rows(kept.get("commits"), {"consumergroup": "group", **partition}):
        labels, has = rows
        behind = pc.max_element_wise(pc.subtract(has["end"], has["committed"]), 0, skip_nulls=False)
        lag = pc.coalesce(has["lag"], behind)
        lag = pc.if_else(pc.less(lag, 0), pa.scalar(None, pa.int64()), lag)
        yield "kafka_consumergroup_current_offset", rows, "committed"
        yield "kafka_consumergroup_lag", (labels, {"lag": lag}), "lag"
        keys = ["cluster_name", "group", "topic"]
        table = pa.table(
            {key: has[key].cast(pa.string()) for key in keys}
            | {"committed": has["committed"], "lag": lag}
        )
        sums = table.group_by(keys).aggregate([("committed", "sum"), ("lag", "sum")])
        columns = {name: sums.column(name).combine_chunks() for name in sums.column_names}
        names = ("cluster", "consumergroup", "topic")
        of_topic = labels_of({n: columns[k] for n, k in zip(names, keys, strict=True)})
        yield "kafka_consumergroup_current_offset_sum", (of_topic, columns), "committed_sum"
        yield "kafka_consumergroup_lag_sum", (of_topic, columns), "lag_sum"
    measured = {cluster for cluster, _ in kept.get("commits", ())}
    others = [given for given in kept.get(GROUP_TOPIC.name, ()) if given[0] not in measured]
    if rows := _rows(others, {"consumergroup": "consumer_group", "topic": "topic"}):
        yield "kafka_consumergroup_current_offset_sum", rows, "consumerGroup.committedOffset"
        yield "kafka_consumergroup_lag_sum", rows, "consumerGroup.totalLag"
    if rows := _rows(kept.get(CONSUMER_GROUP.name), {"consumergroup": "consumer_group"}):
        yield "kafka_consumergroup_members", rows, "consumerGroup.activeConsumers"


def _rows(
    kept: Sequence[tuple[str, pa.RecordBatch]] | None, identity: Mapping[str, str]
) -> Rows | None:
    """The last row of each entity; `identity` is the column of each label beside `cluster`."""
    if not kept:
        return None
    batch = joined_batches([_named(cluster, batch) for cluster, batch in kept])
    labels = labels_of(
        {"cluster": batch.column("cluster_name")}
        | {label: batch.column(column) for label, column in identity.items()}
    )
    times = batch.column("timestamp") if "timestamp" in batch.schema.names else None
    rows = last_rows(labels, times)
    batch = batch.take(rows)
    return labels.take(rows), {name: batch.column(name) for name in batch.schema.names}


def _named(cluster: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    if "cluster_name" in batch.schema.names:
        return batch
    return batch.append_column("cluster_name", repeated(cluster, batch.num_rows))
