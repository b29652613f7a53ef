"""What lies in docs/examples is run: exported, run beside a broker, and replayed."""

from pathlib import Path
from typing import Any

import yaml

from tests.document_trials import PLACEHOLDERS
from tests.documents import ROOT, on_top_of
from tests.kafka.cluster import Kafka
from tests.kafka.security import SecuredKafka
from tests.kafka.workload import create_topic
from tests.mqpipe import mqpipe, samples
from tests.newrelic.stand_in import StandIn
from tests.otlp.stand_in import Receiver

EXAMPLES = ROOT / "docs/examples"
HERE: dict[str, Any] = {"interval": "1s", "metrics": {"listen": None}}


def put(example: str, folder: Path, changes: dict[str, Any]) -> None:
    """Write an example into a folder, with what is different here in place of its own."""
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    changed = on_top_of(yaml.safe_load(text), {**HERE, **changes})
    (folder / example).write_text(yaml.safe_dump(changed), encoding="utf-8")


def test_simulation_example_is_exported(tmp_path: Path) -> None:
    """Two Kafka clusters and one of queues, with the anomalies of that morning."""
    text = (EXAMPLES / "simulation.yaml").read_text(encoding="utf-8")
    (tmp_path / "simulation.yaml").write_text(text, encoding="utf-8")
    day = ("--start", "2026-01-01T10:00:00Z", "--end", "2026-01-01T10:10:00Z")
    ended = mqpipe(tmp_path, "export", "simulation.yaml", *day)
    assert ended.code == 0, ended.err
    assert "broker_down:shop-1/broker-2:2026-01-01T10:00:00Z" in set(
        samples(tmp_path / "samples", "broker")["anomaly"]
    )
    assert samples(tmp_path / "samples", "queue").height == 12 * 20


def test_hybrid_example_is_recorded_and_the_replay_example_reads_it(
    tmp_path: Path, kafka: Kafka, newrelic: StandIn
) -> None:
    """What is there is collected, the rest filled; New Relic and the replay get the same."""
    env = {
        **PLACEHOLDERS,
        "KAFKA_BOOTSTRAP": kafka.bootstrap_servers,
        "NEW_RELIC_LICENSE_KEY": newrelic.license_key,
    }
    topic = {"kafka": {"topic": "mqpipe.examples"}}
    put(
        "hybrid.yaml",
        tmp_path,
        {
            "interval": "3s",
            "fill": {"grace": "2500ms"},
            "sinks": {"newrelic": {"endpoint": newrelic.endpoint}, **topic},
        },
    )
    put("replay.yaml", tmp_path, {"sinks": topic})
    ran = mqpipe(tmp_path, "run", "hybrid.yaml", "--for", "4s", env=env)
    assert ran.code == 0, ran.err
    replayed = mqpipe(tmp_path, "replay", "replay.yaml", "--from", "-1h", env=env)
    assert replayed.code == 0, replayed.err
    ours, again = (samples(tmp_path / name, "broker") for name in ("samples", "replayed"))
    assert {"collected", "filled", "simulated"} == set(ours["origin"])
    keys = ["entity_guid", "timestamp", "origin"]
    assert ours[keys].equals(again[keys].unique().sort(keys))
    brokers = [e for e in newrelic.events if e["entityType"] == "MESSAGE_QUEUE_BROKER"]
    assert len(brokers) == ours.height


def test_infrastructure_example_collects_and_delivers(
    tmp_path: Path, secured_kafka: SecuredKafka, newrelic: StandIn
) -> None:
    """Through SASL and TLS, and plainly: what is selected comes whole, to Parquet and New Relic."""
    secured = secured_kafka.cluster
    chosen = create_topic(secured)
    left_out = create_topic(secured, name=f"{chosen}-changelog")
    client = secured_kafka.client("SASL_TLS")
    bootstrap, password = client.pop("bootstrap.servers"), client.pop("sasl.password")
    prod, staging = yaml.safe_load((EXAMPLES / "infrastructure.yaml").read_text())["clusters"]
    assert prod["client"].keys() == {*client, "sasl.password"}
    prod["client"] |= client
    prod |= {"bootstrap_servers": bootstrap, "broker_metrics": dict(secured.metrics_urls)}
    staging |= {"bootstrap_servers": secured.bootstrap_servers}
    (tmp_path / "license-key").write_text(newrelic.license_key)
    put(
        "infrastructure.yaml",
        tmp_path,
        {
            "interval": "5s",
            "clusters": [prod, staging],
            "sinks": {
                "parquet": {"path": "samples"},
                "newrelic": {
                    "endpoint": newrelic.endpoint,
                    "license_key_file": "license-key",
                    "spool": {"path": "spool"},
                },
            },
            "dead_letters": {"path": "dead-letters"},
            "recovery": {"path": "state"},
        },
    )
    env = {"KAFKA_PASSWORD": password}
    ran = mqpipe(tmp_path, "run", "infrastructure.yaml", "--for", "6s", env=env)
    assert ran.code == 0, ran.err
    ticks = samples(tmp_path / "samples", "collection")
    assert set(ticks["cluster_name"]) == {"prod-eu", "staging"}
    assert set(ticks["collection.ok"]) == {1}, ticks["collection.error"].to_list()
    topics = (
        samples(tmp_path / "samples", "topic").filter(cluster_name="prod-eu")["topic"].to_list()
    )
    assert chosen in topics
    assert left_out not in topics
    brokers = samples(tmp_path / "samples", "broker")
    of_prod = brokers.filter(cluster_name="prod-eu")
    assert not of_prod.is_empty()
    assert of_prod["request.handlerIdle"].null_count() == 0
    events = [e for e in newrelic.events if e["entityType"] == "MESSAGE_QUEUE_BROKER"]
    assert len(events) == brokers.height


def test_otlp_example_arrives_as_it_is_kept(tmp_path: Path) -> None:
    """A receiver and the Parquet files have the same samples."""
    with Receiver() as receiver:
        put("otlp.yaml", tmp_path, {"sinks": {"otlp": {"endpoint": receiver.endpoint}}})
        ended = mqpipe(tmp_path, "run", "otlp.yaml", "--for", "3s")
        assert ended.code == 0, ended.err
        got = [p.value for p in receiver.points if p.name == "kafka.brokers"]
    kept = samples(tmp_path / "samples", "cluster")["cluster.activeBrokerCount"]
    assert got == kept.to_list() == [3] * 3
