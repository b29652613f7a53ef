"""The page by kafka_exporter's names, so that its dashboards work unchanged.

Names and labels are those of github.com/danielqsj/kafka_exporter 1.9; `cluster` is added, since a job
has several. Values of partitions are what the collection measured; of simulated clusters there are
none. Where it differs is in docs/prometheus.md.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from flows.observe.samples.latest import Latest
from flows.observe.samples.lines import head, labels_of, last_rows, lines
from operators.schema.arrow import one_batch, repeated
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, GROUP_TOPIC, TOPIC

MEASURES = ("offsets", "layout", "commits")
"""Raw measures that are kept for it."""

KeptBatches = Mapping[str, Sequence[tuple[str, pa.RecordBatch]]]


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
    "kafka_broker_info": "1, with the broker's address.",
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

LabelledRows = tuple[pa.Array, Mapping[str, pa.Array]]
"""Labels, and columns by name."""


def _sources(kept: KeptBatches) -> Iterator[tuple[str, LabelledRows, str]]:
    """By family: labels and columns, and the column that has its values."""
    if rows := _rows(kept.get(CLUSTER.name), {}):
        yield "kafka_brokers", rows, "cluster.activeBrokerCount"
    if rows := _rows(kept.get(BROKER.name), {"id": "broker_id", "address": "broker.host"}):
        yield "kafka_broker_info", (rows[0], {"1": pa.repeat(1, len(rows[0]))}), "1"
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
            "first": pc.equal(has["leader"], has["preferred"]).fill_null(False),
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


def _groups(
    kept: KeptBatches, partition: Mapping[str, str]
) -> Iterator[tuple[str, LabelledRows, str]]:
    if rows := _rows(kept.get("commits"), {"consumergroup": "group", **partition}):
        read = _positions(rows[1])
        there = _rows(kept.get("offsets"), partition)
        table = read if there is None else pa.concat_tables([read, _unread(read, there[1])])
        yield "kafka_consumergroup_current_offset", _labelled(table, _PARTITION), "committed"
        yield "kafka_consumergroup_lag", _labelled(table, _PARTITION), "lag"
        # Its sum of offsets counts a partition that was not read as -1, its sum of lags as 0.
        behind = pc.max_element_wise(table["lag"], 0, skip_nulls=False)
        sums = (
            table.set_column(table.column_names.index("lag"), "lag", behind)
            .group_by(_TOPIC)
            .aggregate([("committed", "sum"), ("lag", "sum")])
        )
        yield "kafka_consumergroup_current_offset_sum", _labelled(sums, _TOPIC), "committed_sum"
        yield "kafka_consumergroup_lag_sum", _labelled(sums, _TOPIC), "lag_sum"
    measured = {cluster for cluster, _ in kept.get("commits", ())}
    others = [given for given in kept.get(GROUP_TOPIC.name, ()) if given[0] not in measured]
    if rows := _rows(others, {"consumergroup": "consumer_group", "topic": "topic"}):
        yield "kafka_consumergroup_current_offset_sum", rows, "consumerGroup.committedOffset"
        yield "kafka_consumergroup_lag_sum", rows, "consumerGroup.totalLag"
    if rows := _rows(kept.get(CONSUMER_GROUP.name), {"consumergroup": "consumer_group"}):
        yield "kafka_consumergroup_members", rows, "consumerGroup.activeConsumers"


_TOPIC = ["cluster", "consumergroup", "topic"]
_PARTITION = [*_TOPIC, "partition"]
_NONE = -1
"""What it writes for a partition that a group on its topic has not read."""


def _positions(commits: Mapping[str, pa.Array]) -> pa.Table:
    """Committed offset and lag of each commit, by `_PARTITION`."""
    behind = pc.max_element_wise(
        pc.subtract(commits["end"], commits["committed"]), 0, skip_nulls=False
    )
    lag = pc.coalesce(commits["lag"], behind)
    return pa.table(
        {
            "cluster": commits["cluster_name"].cast(pa.string()),
            "consumergroup": commits["group"].cast(pa.string()),
            "topic": commits["topic"].cast(pa.string()),
            "partition": commits["partition"],
            "committed": commits["committed"],
            "lag": pc.if_else(pc.less(lag, 0), pa.scalar(None, pa.int64()), lag),
        }
    )


def _unread(read: pa.Table, offsets: Mapping[str, pa.Array]) -> pa.Table:
    """The partitions without a commit of topics on which their group has one."""
    there = pa.table(
        {
            "cluster": offsets["cluster_name"].cast(pa.string()),
            "topic": offsets["topic"].cast(pa.string()),
            "partition": offsets["partition"],
        }
    )
    missing = (
        read.select(_TOPIC)
        .group_by(_TOPIC)
        .aggregate([])
        .join(there, ["cluster", "topic"], join_type="inner")
        .join(read.select(_PARTITION), _PARTITION, join_type="left anti")
    )
    none = pa.repeat(pa.scalar(_NONE, pa.int64()), missing.num_rows)
    return missing.select(_PARTITION).append_column("committed", none).append_column("lag", none)


def _labelled(table: pa.Table, names: Sequence[str]) -> LabelledRows:
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    return labels_of({name: columns[name] for name in names}), columns


def _rows(
    kept: Sequence[tuple[str, pa.RecordBatch]] | None, identity: Mapping[str, str]
) -> LabelledRows | None:
    """The last row of each entity; `identity` is the column of each label beside `cluster`."""
    if not kept:
        return None
    batch = one_batch([_named(cluster, batch) for cluster, batch in kept])
    labels = labels_of(
        {"cluster": batch.column("cluster_name")}
        | {label: batch.column(column) for label, column in identity.items()}
    )
    if "timestamp" in batch.schema.names:
        rows = last_rows(labels, batch.column("timestamp"))
    elif len({cluster for cluster, _ in kept}) == len(kept):
        # A tick's measures have each label set once.
        return labels, {name: batch.column(name) for name in batch.schema.names}
    else:
        rows = last_rows(labels)
    batch = batch.take(rows)
    return labels.take(rows), {name: batch.column(name) for name in batch.schema.names}


def _named(cluster: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    if "cluster_name" in batch.schema.names:
        return batch
    return batch.append_column("cluster_name", repeated(cluster, batch.num_rows))
