"""Samples made of what was read of a cluster."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from operators.collect.client.topology import UNKNOWN, ClusterMetadata
from operators.collect.entities.brokers import broker_samples
from operators.collect.entities.groups import group_samples
from operators.collect.entities.topics import topic_samples
from operators.collect.pages.parse import Page
from operators.collect.pages.reader import Pages
from operators.collect.reading.commits import commits_of
from operators.collect.reading.log_dirs import LogDirs
from operators.collect.reading.offsets import Offsets
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import SelectionSettings
from operators.health import Causes, health_score
from operators.merge.report import collection_row
from operators.merge.row import cluster_row
from operators.schema.arrow import schema_of
from operators.schema.metrics import CLUSTER, COLLECTION, CONSUMER_GROUP
from operators.ticks import Outcome, TickResult, Ticks
from tests.kafka_metadata import CLUSTER_ID, topology
from tests.reported_groups import ReportedGroup, groups_of
from tests.samples import NEW_YEAR

IDENTITY = ClusterIdentity("prod", "production", 7)
ALL = SelectionSettings()
NO_PAGES = Pages({})

# Broker 3 is down: `orders` is under-replicated, partition 1 of `single` is offline.
THREE = topology(
    [1, 2],
    {
        "orders": [(1, [1, 2, 3], [1, 2]), (2, [2, 3, 1], [1, 2]), (1, [3, 1, 2], [1, 2])],
        "single": [(1, [1], [1]), (-1, [3], [3])],
    },
    refused=["secret"],
)


def offsets(of: ClusterMetadata, start: list[int], end: list[int]) -> Offsets:
    zeros = np.zeros(of.partitions, np.int64)
    return Offsets(np.array(start, np.int64), np.array(end, np.int64), zeros, zeros + NEW_YEAR, ())


def rows(batch: pa.RecordBatch, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in batch.to_pylist()]


def test_brokers_count_what_they_hold_and_lead() -> None:
    """Replicas held, partitions led, and of those the under-replicated ones."""
    brokers, _ = broker_samples(IDENTITY, NEW_YEAR, THREE, NO_PAGES).batches
    assert rows(
        brokers,
        "entity_name",
        "broker_id",
        "broker.partitionCount",
        "broker.leaderCount",
        "replication.unreplicatedPartitions",
    ) == [("prod/broker-1", 1, 4, 3, 2), ("prod/broker-2", 2, 3, 1, 1)]


def test_what_was_not_measured_is_null() -> None:
    """Without a broker's page its own metrics are null, not 0."""
    brokers, _ = broker_samples(IDENTITY, NEW_YEAR, THREE, NO_PAGES).batches
    assert rows(brokers, "broker.messagesInPerSecond", "broker.isController") == [(None, None)] * 2


def test_metadata_gives_the_cluster_its_counts() -> None:
    """Live brokers, topics, partitions, offline and under-replicated ones, availability."""
    _, part = broker_samples(IDENTITY, NEW_YEAR, THREE, NO_PAGES).batches
    row = cluster_row(IDENTITY, NEW_YEAR, [part]).to_pylist()[0]
    reported = {name: row[name] for name in row if name.startswith("cluster.")}
    of_rabbitmq = (
        *("nodeCount", "runningNodeCount", "alarmCount", "partitionedNodeCount"),
        *(
            "queueCount",
            "connectionCount",
            "channelCount",
            "consumerCount",
            "deadLetteredPerSecond",
        ),
    )
    assert {reported.pop(f"cluster.{name}") for name in of_rabbitmq} == {None}
    assert reported == {
        "cluster.activeBrokerCount": 2,
        "cluster.knownBrokerCount": 3,
        "cluster.fencedBrokerCount": None,
        "cluster.leaderElectionsPerSecond": None,
        "cluster.globalTopicCount": 3,
        "cluster.globalPartitionCount": 5,
        "cluster.offlinePartitionsCount": 1,
        "cluster.underReplicatedPartitions": 3,
        "cluster.underMinIsrPartitions": None,
        "cluster.preferredReplicaImbalanceCount": 1,
        "cluster.activeControllerCount": None,
        "cluster.uncleanLeaderElectionsPerSecond": None,
        "cluster.consumerGroupCount": None,
        "cluster.numGroupsStable": None,
        "cluster.numGroupsPreparingRebalance": None,
        "cluster.numGroupsDead": None,
        "cluster.stalledGroupCount": None,
        "cluster.totalLag": None,
        "cluster.messagesInPerSecond": None,
        "cluster.bytesInPerSecond": None,
        "cluster.healthScore": float(
            health_score(Causes(down=1, known=3, under_replicated=3, offline=1, partitions=5))
        ),
        "cluster.availability": 80.0,
        "cluster.errorRate": None,
    }


def test_a_cluster_without_parts_has_a_row_of_nulls() -> None:
    """Where no kind knows anything, the row is there and says nothing."""
    row = cluster_row(IDENTITY, NEW_YEAR, [])
    assert row.schema == schema_of(CLUSTER)
    assert [row.column(m.name).null_count for m in CLUSTER.metrics] == [1] * len(CLUSTER.metrics)


def test_topics_count_their_partitions() -> None:
    """Partition counts come from metadata; a topic that did not answer has only that it didn't."""
    batch, _ = topic_samples(IDENTITY, NEW_YEAR, ALL, THREE, None, None, NO_PAGES).batches
    assert rows(
        batch,
        "topic",
        "topic.partitionCount",
        "topic.replicationFactor",
        "topic.underReplicatedPartitions",
        "topic.offlinePartitions",
        "topic.partitionsWithNonPreferredLeader",
        "topic.respondsToMetadataRequests",
        "topic.offset",
    ) == [
        ("orders", 3, 3, 3, 0, 1, 1, None),
        ("single", 2, 1, 0, 1, 0, 1, None),
        ("secret", None, None, None, None, None, 0, None),
    ]


def test_a_topics_sums_need_all_of_its_partitions() -> None:
    """Offsets and retained messages are null where one partition's are not known."""
    read = offsets(THREE, [0, 10, 5, 0, UNKNOWN], [10, 30, 5, 4, UNKNOWN])
    batch, _ = topic_samples(IDENTITY, NEW_YEAR, ALL, THREE, read, None, NO_PAGES).batches
    assert rows(batch, "topic", "topic.offset", "topic.retainedMessages", "topic.consumerLag") == [
        ("orders", 45, 30, None),
        ("single", None, None, None),
        ("secret", None, None, None),
    ]


def test_a_topics_lag_sums_its_groups() -> None:
    """The lag of all groups on the topic; none where no group commits to it."""
    read = offsets(THREE, [0] * 5, [10, 30, 5, 4, UNKNOWN])
    found = groups_of(
        ReportedGroup("a", commits=(("orders", 0, 4), ("orders", 1, 30))),
        ReportedGroup("b", commits=(("orders", 2, 1), ("gone", 0, 1))),
    )
    commits = commits_of(found, THREE)
    batch, _ = topic_samples(IDENTITY, NEW_YEAR, ALL, THREE, read, commits, NO_PAGES).batches
    assert rows(batch, "topic", "topic.consumerLag")[:2] == [("orders", 10), ("single", None)]


def test_only_selected_topics_have_rows() -> None:
    """Include and exclude decide, for those that answered and those that did not."""
    only = SelectionSettings.model_validate({"include": ["e"], "exclude": ["single"]})
    batch, _ = topic_samples(IDENTITY, NEW_YEAR, only, THREE, None, None, NO_PAGES).batches
    assert rows(batch, "topic") == [("orders",), ("secret",)]


def test_a_group_has_lag_with_and_without_members() -> None:
    """Lag is summed over partitions, is never negative, and needs no members."""
    read = offsets(THREE, [0] * 5, [10, 30, 5, 4, UNKNOWN])
    commits = commits_of(
        groups_of(
            ReportedGroup(
                "dead", "Empty", "classic", (), (), (("orders", 0, 4), ("orders", 1, 28))
            ),
            ReportedGroup(
                "live", "Stable", "consumer", ("m",), (("orders", 0),), (("orders", 0, 11),)
            ),
        ),
        THREE,
    )
    batch, part = group_samples(
        IDENTITY, NEW_YEAR, commits, THREE, read, _no_times(commits)
    ).batches
    assert rows(
        batch,
        "consumer_group",
        "consumerGroup.totalLag",
        "consumerGroup.maxLag",
        "consumerGroup.activeConsumers",
        "consumerGroup.assignedPartitions",
        "consumerGroup.committedOffset",
        "consumerGroup.state",
        "consumerGroup.type",
    ) == [
        ("dead", 8, 6, 0, 0, 32, "Empty", "classic"),
        ("live", 0, 0, 1, 1, 11, "Stable", "consumer"),
    ]
    assert rows(part, "cluster.consumerGroupCount", "cluster.totalLag") == [(2, 8)]


def test_deleted_topics_and_leaderless_partitions_do_not_count_in_lag() -> None:
    """Neither a topic that is gone nor a partition without a leader makes a group's lag null."""
    read = offsets(THREE, [0] * 5, [10, 30, 5, 4, UNKNOWN])
    commits = commits_of(
        groups_of(ReportedGroup("g", commits=(("orders", 0, 4), ("gone", 0, 7), ("single", 1, 0)))),
        THREE,
    )
    batch, _ = group_samples(IDENTITY, NEW_YEAR, commits, THREE, read, _no_times(commits)).batches
    assert rows(batch, "consumerGroup.totalLag", "consumerGroup.committedOffset") == [(6, 11)]


def test_a_leader_that_did_not_answer_makes_lag_null() -> None:
    """A part of a lag is not the lag."""
    read = offsets(THREE, [0] * 5, [10, UNKNOWN, 5, 4, UNKNOWN])
    commits = commits_of(
        groups_of(ReportedGroup("g", commits=(("orders", 0, 4), ("orders", 1, 3)))), THREE
    )
    batch, _ = group_samples(IDENTITY, NEW_YEAR, commits, THREE, read, _no_times(commits)).batches
    assert rows(batch, "consumerGroup.totalLag", "consumerGroup.maxLag") == [(None, None)]


def test_a_group_without_commits_has_no_lag() -> None:
    """Members and state, but neither lag nor committed offset."""
    read = offsets(THREE, [0] * 5, [10, 30, 5, 4, UNKNOWN])
    commits = commits_of(groups_of(ReportedGroup("g", "Stable", "classic", ("m",), (), ())), THREE)
    batch, _ = group_samples(IDENTITY, NEW_YEAR, commits, THREE, read, _no_times(commits)).batches
    assert rows(batch, "consumerGroup.totalLag", "consumerGroup.committedOffset") == [(None, None)]


def test_partition_rows_have_offset_lag_and_end() -> None:
    """A row a group and partition; one that is assigned without a commit has only its end."""
    read = offsets(THREE, [0] * 5, [10, 30, 5, 4, UNKNOWN])
    assigned = (("orders", 0), ("orders", 2))
    commits = commits_of(
        groups_of(ReportedGroup("g", "Stable", "classic", ("m",), assigned, (("orders", 0, 4),))),
        THREE,
    )
    batch = group_samples(
        IDENTITY, NEW_YEAR, commits, THREE, read, _no_times(commits), partition_offsets=True
    ).batches[-1]
    assert rows(
        batch, "entity_name", "partition", "consumer.offset", "consumer.lag", "consumer.hwm"
    ) == [("prod/g/orders/0", 0, 4, 6, 10), ("prod/g/orders/2", 2, None, None, 5)]


def test_a_group_whose_commits_did_not_come_still_has_its_state() -> None:
    """One request that failed costs its own columns."""
    commits = commits_of(groups_of(ReportedGroup("g", "Stable", "classic", ("m",), ())), THREE)
    batch, _ = group_samples(IDENTITY, NEW_YEAR, commits, THREE, None, _no_times(commits)).batches
    assert batch.schema == schema_of(CONSUMER_GROUP)
    assert rows(batch, "consumerGroup.state", "consumerGroup.totalLag") == [("Stable", None)]


def test_a_group_without_a_name_is_not_its_cluster() -> None:
    """The admin API lets one commit for it; its samples are its own."""
    read = offsets(THREE, [0] * 5, [10, 30, 5, 4, UNKNOWN])
    commits = commits_of(
        groups_of(ReportedGroup("", "Empty", "classic", ()), ReportedGroup("g", "Empty")), THREE
    )
    batch = group_samples(IDENTITY, NEW_YEAR, commits, THREE, read, _no_times(commits)).batches[0]
    assert rows(batch, "entity_name", "consumer_group") == [("prod/", ""), ("prod/g", "g")]


def test_a_share_group_has_the_lag_that_its_coordinator_reports() -> None:
    """It commits nothing; a lag that is not reported makes the group's null."""
    read = offsets(THREE, [0] * 5, [10, 30, 5, 4, UNKNOWN])
    at = (("orders", 0, 4), ("orders", 1, 28))
    commits = commits_of(
        groups_of(
            ReportedGroup("dark", "Empty", "share", (), commits=at, lags=(1, UNKNOWN)),
            ReportedGroup("reported", "Empty", "share", (), commits=at, lags=(1, 2)),
        ),
        THREE,
    )
    found = group_samples(
        IDENTITY, NEW_YEAR, commits, THREE, read, _no_times(commits), partition_offsets=True
    )
    batch, partitions = found.batches[0], found.batches[-1]
    assert rows(
        batch, "consumer_group", "consumerGroup.totalLag", "consumerGroup.committedOffset"
    ) == [("dark", None, None), ("reported", 3, None)]
    assert rows(partitions, "consumer.offset", "consumer.lag") == [
        (4, 1),
        (28, None),
        (4, 1),
        (28, 2),
    ]


def test_samples_have_the_clusters_own_id() -> None:
    """Of brokers, topics and groups; none where it has not reported it."""
    reported = replace(IDENTITY, cluster_id=CLUSTER_ID)
    for identity, expected in ((reported, CLUSTER_ID), (IDENTITY, None)):
        for batch in broker_samples(identity, NEW_YEAR, THREE, NO_PAGES).batches:
            assert set(batch.column("cluster_id").to_pylist()) == {expected}


def test_an_empty_cluster_gives_empty_batches() -> None:
    """No topics and no groups: batches without rows, and full availability."""
    empty = topology([1], {})
    commits = commits_of(groups_of(), empty)
    read = offsets(empty, [], [])
    assert (
        topic_samples(IDENTITY, NEW_YEAR, ALL, empty, read, commits, NO_PAGES).batches[0].num_rows
        == 0
    )
    assert (
        group_samples(IDENTITY, NEW_YEAR, commits, empty, read, _no_times(commits))
        .batches[0]
        .num_rows
        == 0
    )
    assert (
        broker_samples(IDENTITY, NEW_YEAR, empty, NO_PAGES)
        .batches[1]
        .to_pylist()[0]["cluster.availability"]
        == 100
    )


def test_offsets_are_summed_exactly() -> None:
    """Sums of large offsets lose no digit."""
    huge = 2**60 + 1
    two = topology([1], {"t": [(1, [1], [1])] * 2})
    batch, _ = topic_samples(
        IDENTITY, NEW_YEAR, ALL, two, offsets(two, [0, 0], [huge, 1]), None, NO_PAGES
    ).batches
    assert rows(batch, "topic.offset") == [(huge + 1,)]


def test_a_complete_tick_is_reported_as_ok() -> None:
    """Entities are counted without the cluster's part; nothing was missed."""
    collected = broker_samples(IDENTITY, NEW_YEAR, THREE, NO_PAGES)
    result = TickResult(
        Ticks("prod", NEW_YEAR, 30_000, kind="brokers"),
        Outcome.COMPLETED,
        collected.batches,
        attempts=2,
        duration=0.5,
    )
    row = collection_row(IDENTITY, result)
    assert row.schema == schema_of(COLLECTION)
    assert rows(row, *(m.name for m in COLLECTION.metrics)) == [(1, 2, 0.5, 2, 0, None, None)]
    assert rows(row, "target_kind", "entity_name") == [("brokers", "prod/brokers")]


def test_a_partial_tick_is_not_ok() -> None:
    """Its entities count, and it says what is missing."""
    collected = broker_samples(IDENTITY, NEW_YEAR, THREE, NO_PAGES)
    result = TickResult(
        Ticks("prod", NEW_YEAR, 30_000, kind="brokers"),
        Outcome.COMPLETED,
        collected.batches,
        attempts=1,
        duration=1.0,
        error_class="timeout",
        error="page of broker 2",
    )
    row = collection_row(IDENTITY, result)
    assert rows(
        row, "collection.ok", "collection.entities", "collection.errorClass", "collection.error"
    ) == [(0, 2, "timeout", "page of broker 2")]


def test_missed_ticks_are_reported_with_their_number() -> None:
    """One row for the tick and those before it; attempts and duration are not 0 but null."""
    result = TickResult(Ticks("prod", NEW_YEAR, 30_000, missed=4, kind="groups"), Outcome.MISSED)
    row = collection_row(IDENTITY, result)
    assert rows(
        row,
        "collection.ok",
        "collection.attempts",
        "collection.duration",
        "collection.missed",
        "collection.errorClass",
    ) == [(0, None, None, 5, "missed")]


def _no_times(commits: Any) -> Any:
    return np.full(len(commits.row), UNKNOWN, np.int64)


def page(**more: Any) -> Page:
    return Page(NEW_YEAR, more.get("gauges", {}), {}, {}, more.get("sizes", {}))


def test_a_page_gives_its_broker_gauges() -> None:
    """A broker's page fills its row; the others' rows have nulls there."""
    pages = Pages({2: page(gauges={"request.handlerIdle": 99.5, "broker.isController": 1})})
    brokers, _ = broker_samples(IDENTITY, NEW_YEAR, THREE, pages).batches
    assert rows(brokers, "broker_id", "request.handlerIdle", "broker.isController") == [
        (1, None, None),
        (2, 99.5, 1),
    ]


def test_disk_size_needs_the_pages_of_all_live_brokers() -> None:
    """A topic's logs are summed over brokers; with a page missing the sum is not known."""
    both = Pages({1: page(sizes={"orders": 5}), 2: page(sizes={"orders": 7})})
    one = Pages({1: page(sizes={"orders": 5})})
    sizes = []
    for pages in (both, one):
        batch, _ = topic_samples(IDENTITY, NEW_YEAR, ALL, THREE, None, None, pages).batches
        sizes.append(rows(batch, "topic", "topic.diskSize")[:2])
    assert sizes == [[("orders", 12), ("single", None)], [("orders", None), ("single", None)]]


def test_disk_size_is_that_of_the_log_directories_where_they_are_asked_for() -> None:
    """They come in place of the pages; a topic's size is not known without each live broker's."""
    pages = Pages({1: page(sizes={"orders": 1}), 2: page(sizes={"orders": 1})})
    both = LogDirs({1: {"orders": 5, "single": 0}, 2: {"orders": 7}})
    one = LogDirs({1: {"orders": 5}})
    sizes = []
    for log_dirs in (both, one):
        found = topic_samples(IDENTITY, NEW_YEAR, ALL, THREE, None, None, pages, log_dirs)
        sizes.append(rows(found.batches[0], "topic", "topic.diskSize")[:2])
    assert sizes == [[("orders", 12), ("single", 0)], [("orders", None), ("single", None)]]
