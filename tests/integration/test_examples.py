"""What lies in docs/examples is run: exported, run beside a broker, and replayed."""

from pathlib import Path
from typing import Any

import yaml

from tests.documents import ROOT, on_top_of
from tests.kafka.cluster import Kafka
from tests.mqpipe import mqpipe, samples
from tests.newrelic.stand_in import StandIn
from tests.trials import PLACEHOLDERS

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
            "fill": {"grace": "500ms"},
            "sinks": {"newrelic": {"endpoint": newrelic.endpoint}, **topic},
        },
    )
    put("replay.yaml", tmp_path, {"sinks": topic})
    ran = mqpipe(tmp_path, "run", "hybrid.yaml", "--for", "3s", env=env)
    assert ran.code == 0, ran.err
    replayed = mqpipe(tmp_path, "replay", "replay.yaml", "--from", "-1h", env=env)
    assert replayed.code == 0, replayed.err
    ours, again = (samples(tmp_path / name, "broker") for name in ("samples", "replayed"))
    assert {"collected", "filled", "simulated"} == set(ours["origin"])
    keys = ["entity_guid", "timestamp", "origin"]
    assert ours[keys].equals(again[keys].unique().sort(keys))
    brokers = [e for e in newrelic.events if e["entityType"] == "MESSAGE_QUEUE_BROKER"]
    assert len(brokers) == ours.height
