"""A cluster is restarted broker by broker under a running job, as operators do it: nothing ends."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient

from tests.kafka.brokers_view import coordinators, wait_until_balanced, wait_until_out
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import commit, create_topic, produce
from tests.mqpipe import samples, start, stop, wait_for_log
from tests.ports import PortClaim
from tests.served_health import wait_for_watermark

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

ALL = pytest.param((1, 2, 3), marks=pytest.mark.long("stops and starts one broker after the other"))
INTERVAL = 4
CONFIG = """
mode: infrastructure
interval: {interval}s
clusters:
  - name: real
    bootstrap_servers: {bootstrap}
sinks: {{parquet: {{path: samples}}}}
recovery: {{path: state, epoch: 1s}}
metrics: {{listen: "{listen}"}}
"""
GROUPS = [f"group-{number:02}" for number in range(12)]
PARTITIONS = 6
MESSAGES, COMMITTED = 5, 2


@dataclass(frozen=True)
class Away:
    """A broker's restart: from before its stop until all is as it was (s since the epoch)."""

    broker: int
    begin: float
    end: float


def restart(kafka: KafkaCluster, broker: int, wait_for_tick: Callable[[], None]) -> Away:
    """Stop a broker for a tick, start it again, and give it back the partitions that it is preferred for."""
    begin = time.time()
    kafka.stop(broker)
    wait_until_out(kafka, broker)
    wait_for_tick()
    kafka.start(broker)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    wait_until_balanced(kafka, lambda: admin.elect_leaders(ElectionType.PREFERRED).result(60))
    return Away(broker, begin, time.time())


def by_tick(folder: Path, entity: str) -> pl.DataFrame:
    return samples(folder, entity).with_columns(due=pl.col("timestamp").dt.epoch("s"))


@pytest.mark.parametrize("restarted", [(2,), ALL], ids=["one", "each"])
def test_a_run_outlives_a_rolling_restart(
    mended_kafka3: KafkaCluster, tmp_path: Path, restarted: Sequence[int]
) -> None:
    """Only ticks in which a coordinator or leader was away lack its groups or partitions.

    Each of them says why, and after each restart the next tick has all of it.
    """
    kafka = mended_kafka3
    topic = create_topic(kafka, PARTITIONS, 3)
    produce(kafka, topic, [MESSAGES] * PARTITIONS)
    for group in GROUPS:
        commit(kafka, topic, group, [COMMITTED] * PARTITIONS)
    of_broker = coordinators(kafka, GROUPS)
    assert set(of_broker.values()) == set(kafka.broker_ids) == {1, 2, 3}
    with PortClaim() as port:
        address = f"127.0.0.1:{port.port}"
        text = CONFIG.format(interval=INTERVAL, bootstrap=kafka.bootstrap_servers, listen=address)
        (tmp_path / "c.yaml").write_text(text)
        process = start(tmp_path, "run", "c.yaml", "--no-live")
        wait_for_log(process, "run started")

        def wait_for_tick() -> None:
            """Wait until samples of a tick have arrived that is due from now on."""
            wait_for_watermark(process, address, "collected", time.time() * 1000)

        wait_for_tick()
        restarts = []
        for broker in restarted:
            restarts.append(restart(kafka, broker, wait_for_tick))
            wait_for_tick()
        ended = stop(process)
    assert ended.code == 0, ended.err[-4000:]
    judge(tmp_path / "samples", topic, restarts, of_broker)


def judge(
    folder: Path, topic: str, restarts: list[Away], coordinator_of: Mapping[str, int]
) -> None:
    """Hold each tick of a run against what was away at its time."""
    lag = (MESSAGES - COMMITTED) * PARTITIONS
    groups, topics = by_tick(folder, "consumer_group"), by_tick(folder, "topic")
    for row in by_tick(folder, "collection").sort("due").to_dicts():
        due, kind, error = row["due"], row["target_kind"], row["collection.error"]
        away = next((a for a in restarts if a.begin - INTERVAL < due <= a.end), None)
        assert away is not None or error is None, (due, kind, error)
        if kind == "groups":
            here = groups.filter(due=due)
            right = here.filter(pl.col("consumerGroup.totalLag") == lag)["consumer_group"]
            wrong = set(GROUPS) - set(right.to_list())
            assert error is not None or not wrong, (due, wrong)
            if away is not None and row["collection.ok"]:
                gone = set(GROUPS) - set(here["consumer_group"].to_list())
                assert {coordinator_of[group] for group in gone} <= {away.broker}, (due, error)
        if kind == "topics":
            offsets = topics.filter(due=due, topic=topic)["topic.offset"].to_list()
            assert error is not None or offsets == [MESSAGES * PARTITIONS], (due, offsets)
