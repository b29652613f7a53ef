"""A tick over many partitions and consumer groups of a real broker: time, processor, memory.

A broker of its own is started and filled: topics of ten partitions with messages in each, and
groups that commit to ten partitions and lag. Then each tick collects all three kinds and derives.
Then exporters of others that are named (`tests/benchmarks/exporters.py`) scrape the same broker.

    python -m tests.benchmarks.bench_collect [--partitions 1000] [--groups 100] [--ticks 5]
        [--full] [--partition-offsets] [--json FILE]
"""

import asyncio
import gc
import pickle
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from operators.collect.collector import ClusterCollector
from operators.collect.settings import ClusterSettings
from operators.derive.operator import ClusterDerivation
from operators.ticks import Collected, Outcome, TargetKind, TickResult, Ticks
from tests.benchmarks import exporters
from tests.benchmarks.measuring import memory
from tests.benchmarks.options import keep, parser_of
from tests.kafka.cluster import KafkaCluster

A_TOPIC = 10
"""Partitions of a topic, and messages in each partition."""
AT_ONCE = 25
INTERVAL = 30_000
TIMEOUT = 60.0


def fill(kafka: KafkaCluster, partitions: int, groups: int) -> None:
    """Topics with messages, and groups that have committed half of them."""
    config: dict[str, Any] = {"bootstrap.servers": kafka.bootstrap_servers}
    admin = AdminClient(config)
    topics = [f"topic-{n:05}" for n in range(partitions // A_TOPIC)]
    for begin in range(0, len(topics), AT_ONCE):
        new = [NewTopic(topic, A_TOPIC, 1) for topic in topics[begin : begin + AT_ONCE]]
        for future in admin.create_topics(new, request_timeout=120).values():
            future.result()
    # A broker takes its time: some hundred partitions a second.
    while _with_leader(admin) < partitions:
        time.sleep(1)
    failed: list[str] = []
    producer = Producer(config)
    for topic in topics:
        for number in range(A_TOPIC * A_TOPIC):
            producer.produce(
                topic,
                b"a message",
                partition=number % A_TOPIC,
                on_delivery=lambda error, _: failed.append(error.str()) if error else None,
            )
        producer.poll(0)
    if producer.flush(300) or failed:
        raise RuntimeError(f"not all messages were delivered: {failed[:1]}")
    for begin in range(0, groups, AT_ONCE):
        commit(admin, topics, range(begin, min(begin + AT_ONCE, groups)))


def commit(admin: AdminClient, topics: list[str], groups: Sequence[int]) -> None:
    """Commit half of a topic for each group; again where its coordinator is not there yet."""
    left = list(groups)
    while left:
        asked = {}
        for number in left:
            topic, group = topics[number % len(topics)], f"group-{number:05}"
            partitions = [TopicPartition(topic, p, A_TOPIC // 2) for p in range(A_TOPIC)]
            request = [ConsumerGroupTopicPartitions(group, partitions)]
            asked[number] = admin.alter_consumer_group_offsets(request)[group]
        left = [
            number
            for number, future in asked.items()
            if any(partition.error for partition in future.result(120).topic_partitions or ())
        ]


def _with_leader(admin: AdminClient) -> int:
    topics = admin.list_topics(timeout=60).topics.values()
    return sum(p.leader >= 0 for topic in topics for p in topic.partitions.values())


async def tick(
    collector: ClusterCollector, derivation: ClusterDerivation, number: int
) -> dict[str, Any]:
    """One tick of all kinds, collected and derived: what it took and gave."""
    begun, used = time.perf_counter(), time.process_time()

    async def collect(kind: TargetKind) -> tuple[Ticks, Collected]:
        due = Ticks("bench", number * INTERVAL, INTERVAL, kind=kind)
        return due, await collector.collect(due, TIMEOUT)

    found = await asyncio.gather(*(collect(kind) for kind in TargetKind))
    collected = time.perf_counter() - begun
    samples = 0
    for due, of_kind in found:
        if of_kind.error:
            raise RuntimeError(of_kind.error)
        result = TickResult(due, Outcome.COMPLETED, of_kind.batches, of_kind.raw, 1)
        samples += sum(batch.num_rows for batch in derivation.derive(result).batches)
    derived = time.perf_counter() - begun - collected
    state = len(pickle.dumps(derivation.snapshot()))
    return {
        "seconds": collected,
        "derive_seconds": derived,
        "cpu_seconds": time.process_time() - used,
        "samples": samples,
        "state_bytes": state,
    }


async def run(settings: ClusterSettings, ticks: int) -> dict[str, Any]:
    """Medians of some ticks, the first by itself."""
    collector = ClusterCollector(settings)
    derivation = ClusterDerivation("bench")
    gc.freeze()  # As a run does.
    before = memory()
    first = await tick(collector, derivation, 0)
    rows = [await tick(collector, derivation, number) for number in range(1, ticks + 1)]
    grown = memory() - before
    await collector.close()
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    return {
        "first_seconds": first["seconds"],
        **medians,
        "memory_bytes": grown,
    }


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--partitions", type=int, default=1_000)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--ticks", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="10,000 partitions and 1,000 groups")
    parser.add_argument(
        "--partition-offsets",
        action="store_true",
        help="a sample for each partition of a group too",
    )
    options = parser.parse_args()
    partitions = 10_000 if options.full else options.partitions
    groups = 1_000 if options.full else options.groups
    with KafkaCluster(1, heap="1g") as kafka:
        fill(kafka, partitions, groups)
        settings = ClusterSettings(
            name="bench",
            bootstrap_servers=kafka.bootstrap_servers,
            partition_offsets=options.partition_offsets,
        )
        row = {
            "partitions": partitions,
            "groups": groups,
            **asyncio.run(run(settings, options.ticks)),
        }
        for name, scraped in exporters.measured(kafka.bootstrap_servers, options.ticks).items():
            row |= {f"{name}_{what}": value for what, value in asdict(scraped).items()}
    for name, value in row.items():
        print(
            f"{name:>24} {value:>14,.3f}"
            if isinstance(value, float)
            else f"{name:>24} {value:>14,}"
        )
    keep(row, options.json)


if __name__ == "__main__":
    main()
