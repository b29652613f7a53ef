"""What a report leads with: what was worst, and when."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.report.gaps import gaps
from flows.report.summary import summarize
from flows.report.worst import Worst, worst
from flows.samples import find_samples
from operators.schema.metrics import CLUSTER, CONSUMER_GROUP, NODE, QUEUE
from tests.hybrid_morning import hybrid, rows, write
from tests.samples import INTERVAL, NEW_YEAR

TICKS = range(100)


def found(path: Path) -> list[Worst]:
    """What was worst in the samples below a path."""
    summary = summarize(find_samples(str(path)))
    return worst(summary, gaps(summary))


def during(span: Sequence[int], value: float | str, otherwise: float | str = 0) -> list[Any]:
    """A column that has a value at some ticks and another at the others."""
    return [value if tick in span else otherwise for tick in TICKS]


def at(tick: int) -> int:
    """The time of a tick."""
    return NEW_YEAR + tick * INTERVAL


def test_the_gravest_comes_first_with_when_and_for_how_long(tmp_path: Path) -> None:
    """A partition without a leader before a broker that is down, before a missing replica."""
    down = range(40, 60)
    cluster = rows(
        CLUSTER,
        "eu",
        TICKS,
        cluster__knownBrokerCount=3,
        cluster__activeBrokerCount=during(down, 2, 3),
        cluster__underReplicatedPartitions=during(range(40, 70), 72),
        cluster__offlinePartitionsCount=during([45, 46], 4),
    )
    assert [
        (w.what, w.value, w.where, w.start, w.lasted)
        for w in found(write(tmp_path, [cluster]))
    ] == [
        ("partitions without a leader", "4 partitions", "eu", at(45), 2 * INTERVAL),
        ("brokers down", "1 of 3 brokers", "eu", at(40), 20 * INTERVAL),
        ("partitions that miss a replica", "72 partitions", "eu", at(40), 30 * INTERVAL),
    ]  # fmt: skip


def test_noise_is_no_line(tmp_path: Path) -> None:
    """A few failed requests, groups some seconds behind and one tick that is missing."""
    there = [tick for tick in TICKS if tick != 50]
    batches = [
        rows(CLUSTER, "eu", there, cluster__errorRate=0.9, cluster__underReplicatedPartitions=0),
        rows(CONSUMER_GROUP, "eu", there, "billing", consumerGroup__totalLag=9,
             consumerGroup__lagSeconds=59.0),
    ]  # fmt: skip
    assert found(write(tmp_path, batches)) == []


def test_groups_that_were_behind_together_are_one_line(tmp_path: Path) -> None:
    """The furthest behind is named, with how many others; a later time of another is its own line."""
    spells = {"a": (range(10, 20), 90.0), "b": (range(15, 25), 300.0), "c": (range(60, 62), 120.0)}
    batches = [
        rows(CONSUMER_GROUP, "eu", TICKS, name, consumerGroup__totalLag=9,
             consumerGroup__lagSeconds=during(span, seconds, 1.0))
        for name, (span, seconds) in spells.items()
    ]  # fmt: skip
    assert [(w.where, w.value, w.start, w.lasted) for w in found(write(tmp_path, batches))] == [
        ("eu/b and 1 more", "5m", at(10), 15 * INTERVAL),
        ("eu/c", "2m", at(60), 2 * INTERVAL),
    ]


def test_what_happens_again_and_again_is_one_line_with_its_worst_time(tmp_path: Path) -> None:
    """A group that falls behind three times."""
    seconds = [400.0 if tick in range(40, 44) else 90.0 if tick % 30 < 3 else 1.0 for tick in TICKS]
    group = rows(CONSUMER_GROUP, "eu", TICKS, "a", consumerGroup__totalLag=9,
                 consumerGroup__lagSeconds=seconds)  # fmt: skip
    [one] = found(write(tmp_path, [group]))
    assert (one.value, one.start) == ("6m 40s, the worst of 5", at(40))


def test_a_group_with_few_messages_that_stands_still_is_seen(tmp_path: Path) -> None:
    """Eight groups have more lag than the one whose oldest message waits for an hour."""
    batches = [
        rows(CONSUMER_GROUP, "eu", TICKS, f"busy-{n}", consumerGroup__totalLag=10_000 + n,
             consumerGroup__lagSeconds=2.0)
        for n in range(12)
    ]  # fmt: skip
    batches.append(
        rows(CONSUMER_GROUP, "eu", TICKS, "quiet", consumerGroup__totalLag=1,
             consumerGroup__lagSeconds=3600.0)
    )  # fmt: skip
    [one] = found(write(tmp_path, batches))
    assert (one.where, one.value) == ("eu/quiet", "1h")


def test_lost_messages_lead(tmp_path: Path) -> None:
    """Nothing is worse than what nobody can read any more."""
    batches = [
        rows(CLUSTER, "eu", TICKS, cluster__offlinePartitionsCount=1),
        rows(CONSUMER_GROUP, "eu", TICKS, "audit", consumerGroup__totalLag=9,
             consumerGroup__lostMessages=during([70], 1200)),
    ]  # fmt: skip
    first = found(write(tmp_path, batches))[0]
    assert (first.what, first.where, first.value) == (
        "messages lost unread",
        "eu/audit",
        "1.2k messages",
    )


def test_nodes_alarms_and_queues_of_rabbitmq_are_reported(tmp_path: Path) -> None:
    """Queues that are down, a node that is, a disk alarm, a queue that nobody empties; each by its name."""
    batches = [
        rows(CLUSTER, "mq", TICKS, cluster__nodeCount=3,
             cluster__runningNodeCount=during(range(5), 2, 3), cluster__alarmCount=during([9], 1),
             cluster__availability=during([2, 3], 87.5, 100)),
        rows(QUEUE, "mq", TICKS, "jobs", queue__depth=7, queue__oldestMessageAge=7200.0),
        rows(QUEUE, "mq", TICKS, "votes", queue__state=during([3], "minority", "running")),
        rows(QUEUE, "mq", TICKS, "mails", queue__state=during([2, 3], "down", "running")),
        rows(QUEUE, "mq", TICKS, "later", queue__state=during([90], "down", "running")),
        rows(NODE, "mq", TICKS, "node-a", node__running=during(range(5), 0, 1)),
        rows(NODE, "mq", TICKS, "node-b", node__running=1, node__diskAlarm=during([9], 1)),
    ]  # fmt: skip
    assert [(w.what, w.where, w.value) for w in found(write(tmp_path, batches))] == [
        ("queues that nobody could use", "mq/mails and 1 more", "12.5 % of queues"),
        ("nodes down", "mq/node-a", "1 of 3 nodes"),
        ("memory and disk alarms", "mq/node-b", "1 alarm"),
        ("queue's oldest message", "mq/jobs", "2h"),
    ]


def test_silence_of_a_cluster_is_a_line(tmp_path: Path) -> None:
    """The cluster that gave nothing for ten minutes of the hybrid morning."""
    assert [(w.what, w.where, w.value) for w in found(hybrid(tmp_path))] == [
        ("no samples", "prod-us", "20 ticks")
    ]
