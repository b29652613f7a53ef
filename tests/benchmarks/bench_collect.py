"""A tick over many partitions and consumer groups of a real broker: time, processor, memory.

A broker of its own is started and filled: topics of ten partitions with messages in each, and
groups that commit to ten partitions and lag. Then each tick collects all three kinds and derives.
Where `KAFKA_EXPORTER_BIN` or `KMINION_BIN` names a binary, its scrape of the same broker is timed
in turn with the ticks.

    python -m tests.benchmarks.bench_collect [--partitions 1000] [--groups 100] [--ticks 5]
        [--full] [--json FILE]
"""

import argparse
import asyncio
import gc
import json
import os
import pickle
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from operators.collect.collector import ClusterCollector
from operators.collect.settings import ClusterSettings
from operators.derive.operator import ClusterDerivation
from operators.ticks import Collected, Outcome, TargetKind, TickResult, Ticks
from tests.kafka.cluster import KafkaCluster
from tests.ports import PortClaim

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


@contextmanager
def exporter(name: str, kafka: KafkaCluster) -> Iterator[Callable[[], float] | None]:
    """A Go exporter beside the broker: call for the seconds of one scrape; None without it."""
    binary = os.environ.get(f"{name.upper()}_BIN")
    if not binary:
        yield None
        return
    with PortClaim() as claim:
        port = claim.port
        command, environment = _exporter_command(name, binary, kafka.bootstrap_servers, port)
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}/metrics"

        def scrape() -> float:
            begun = time.perf_counter()
            with urlopen(url, timeout=600) as page:
                page.read()
            return time.perf_counter() - begun

        try:
            _until_up(scrape, process)
            yield scrape
        finally:
            process.kill()
            process.wait()


def _exporter_command(
    name: str, binary: str, servers: str, port: int
) -> tuple[list[str], Mapping[str, str]]:
    if name == "kafka_exporter":
        flags = [f"--kafka.server={servers}", f"--web.listen-address=127.0.0.1:{port}"]
        return [binary, *flags, "--offset.show-all"], {}
    environment = {
        "KAFKA_BROKERS": servers,
        "EXPORTER_HOST": "127.0.0.1",
        "EXPORTER_PORT": str(port),
        "MINION_CONSUMERGROUPS_SCRAPEMODE": "adminApi",
        "MINION_LOGDIRS_ENABLED": "false",
    }
    return [binary], environment


def _until_up(scrape: Callable[[], float], process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            scrape()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"the exporter ended with {process.returncode}")


def memory() -> int:
    """Resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def run(kafka: KafkaCluster, ticks: int) -> dict[str, Any]:
    """Ticks and scrapes in turn; medians, the first tick by itself."""
    collector = ClusterCollector(
        ClusterSettings(name="bench", bootstrap_servers=kafka.bootstrap_servers)
    )
    derivation = ClusterDerivation("bench")
    with ExitStack() as exporters:
        scrapes = {
            name: scrape
            for name in ("kafka_exporter", "kminion")
            if (scrape := exporters.enter_context(exporter(name, kafka))) is not None
        }
        gc.freeze()  # As a run does.
        before = memory()
        first = await tick(collector, derivation, 0)
        rows = []
        scraped: dict[str, list[float]] = {name: [] for name in scrapes}
        for number in range(1, ticks + 1):
            rows.append(await tick(collector, derivation, number))
            for name, scrape in scrapes.items():
                scraped[name].append(await asyncio.to_thread(scrape))
        grown = memory() - before
    await collector.close()
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    return {
        "first_seconds": first["seconds"],
        **medians,
        "memory_bytes": grown,
        **{f"{name}_seconds": statistics.median(times) for name, times in scraped.items()},
    }


def main() -> None:
    """Print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=1_000)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--ticks", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="10,000 partitions and 1,000 groups")
    parser.add_argument("--json", type=Path, help="write the row there too")
    options = parser.parse_args()
    partitions = 10_000 if options.full else options.partitions
    groups = 1_000 if options.full else options.groups
    with KafkaCluster(1, heap="1g") as kafka:
        fill(kafka, partitions, groups)
        row = {
            "partitions": partitions,
            "groups": groups,
            **asyncio.run(run(kafka, options.ticks)),
        }
    for name, value in row.items():
        print(
            f"{name:>24} {value:>14,.3f}"
            if isinstance(value, float)
            else f"{name:>24} {value:>14,}"
        )
    if options.json:
        options.json.write_text(json.dumps(row, indent=2))


if __name__ == "__main__":
    main()
