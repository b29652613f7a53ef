"""`mqpipe run` into a Kafka topic, and `mqpipe replay` out of it: the same rows."""

import json
import time
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Producer
from polars.testing import assert_frame_equal

import flows.replay
from flows.config import Config
from flows.loading import parse
from flows.replay import ReplayOptions, replay
from flows.times import show_time
from operators.schema.ipc import encode
from tests.kafka.cluster import Kafka
from tests.kafka.topics import new_topic, produce
from tests.mqpipe import delta_samples, mqpipe, samples
from tests.newrelic.stand_in import StandIn
from tests.samples import tick

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

LABELS = ("cluster", "broker", "topic", "consumer_group", "group_topic")

CONFIG = """
mode: simulation
interval: 500ms
simulation: {{seed: 1, fleets: [{{name: a, clusters: 2}}]}}
sinks:
  parquet: {{path: samples}}
  deltalake: {{path: delta}}
  kafka: {{bootstrap_servers: "{bootstrap}", topic: {topic}, spool: {{path: spool}}}}
dead_letters: {{path: dead}}
recovery: {{path: state, epoch: 500ms}}
metrics: {{listen: null}}
"""


def test_replay_gives_the_rows_that_parquet_has(kafka: Kafka, tmp_path: Path) -> None:
    """All sinks have the same; replaying the topic gives Parquet's rows, a range of it its part."""
    text = CONFIG.format(bootstrap=kafka.bootstrap_servers, topic=f"mq-{tmp_path.name}")
    (tmp_path / "c.yaml").write_text(text)
    ran = mqpipe(tmp_path, "run", "c.yaml", "--no-live", "--for", "5s")
    assert ran.code == 0, ran.err[-4000:]
    for label in LABELS:
        whole = samples(tmp_path / "samples", label)
        assert_frame_equal(delta_samples(tmp_path / "delta", label), whole)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(f"mq-{tmp_path.name}", b"\x00garbage", key=b"a-1")
    kept_nowhere = json.dumps({"eventType": "KafkaConsumerSample", "clusterName": "c"}).encode()
    producer.produce(f"mq-{tmp_path.name}", kept_nowhere, key=b"a-1")
    assert producer.flush(30) == 0

    replayed = mqpipe(tmp_path, "replay", "c.yaml", "--out", "again")
    assert replayed.code == 0, replayed.err[-4000:]
    assert "2 messages held what is no sample: dead letters in dead" in replayed.out
    (ended,) = [
        e for e in map(json.loads, replayed.err.splitlines()) if e["event"] == "replay ended"
    ]
    assert ended["unreadable"] == 2
    for label in LABELS:
        whole = samples(tmp_path / "samples", label)
        assert_frame_equal(samples(tmp_path / "again", label), whole)

    ticks = samples(tmp_path / "samples", "cluster")["timestamp"].unique().sort()
    bounds = ("--from", ticks[2].isoformat(), "--to", ticks[5].isoformat())
    part = mqpipe(tmp_path, "replay", "c.yaml", *bounds, "--out", "part")
    assert part.code == 0, part.err[-4000:]
    first, last = (show_time(round(ticks[n].timestamp() * 1000)) for n in (2, 4))
    assert f"samples from {first} to {last}" in part.out
    assert '"mode"' not in part.err
    assert '"ticks_completed"' not in part.err
    for label in LABELS:
        whole = samples(tmp_path / "samples", label)
        inside = whole.filter(pl.col("timestamp").is_between(ticks[2], ticks[5], closed="left"))
        assert_frame_equal(samples(tmp_path / "part", label), inside)

    tables = text.replace("  parquet: {path: samples}\n", "").replace(
        "{path: delta}", "{path: more}"
    )
    (tmp_path / "d.yaml").write_text(tables)
    assert (reported := mqpipe(tmp_path, "replay", "d.yaml")).code == 0, reported.err[-4000:]
    for label in LABELS:
        whole = samples(tmp_path / "samples", label)
        assert_frame_equal(delta_samples(tmp_path / "more", label), whole)
    refused = mqpipe(tmp_path, "replay", "d.yaml")
    assert (refused.code, "more holds samples" in refused.err) == (1, True)

    letters = pl.concat(pl.read_parquet(f) for f in (tmp_path / "dead").rglob("*.parquet"))
    assert set(letters["data"]) == {b"\x00garbage", kept_nowhere}
    refused = mqpipe(tmp_path, "replay", "c.yaml", "--out", "again")
    assert (refused.code, "holds samples" in refused.err) == (1, True)


TO_NEW_RELIC = """
account_id: 7
simulation: {{fleets: [{{name: a}}]}}
sinks:
  newrelic: {{license_key: {key}, shape: events, endpoint: "{endpoint}"}}
  kafka: {{bootstrap_servers: "{bootstrap}", topic: {topic}}}
dead_letters: {{path: {folder}/dead}}
recovery: {{path: {folder}/state, epoch: 500ms}}
"""


def test_a_replay_is_not_over_before_all_is_delivered(
    kafka: Kafka, newrelic: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What New Relic does not take in time stays in the spool, and the same command sends it."""
    topic = new_topic(kafka.bootstrap_servers)
    now = time.time_ns() // 1_000_000
    produce(kafka.bootstrap_servers, topic, [(0, now, encode(tick(now - 1_000, 5)))])
    text = TO_NEW_RELIC.format(
        key=newrelic.license_key,
        endpoint=newrelic.endpoint,
        bootstrap=kafka.bootstrap_servers,
        topic=topic,
        folder=tmp_path,
    )
    config = parse(Config, text, "c.yaml")
    newrelic.down()
    with monkeypatch.context() as patched:
        patched.setattr(flows.replay, "_DELIVERY", 0.2)
        assert replay(config, ReplayOptions()) == 1
    newrelic.up()
    assert newrelic.events == []
    assert replay(config, ReplayOptions()) == 0
    assert len(newrelic.events) == 5
