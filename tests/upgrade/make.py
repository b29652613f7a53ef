"""Makes what a build leaves behind when it is killed: `python -m tests.upgrade.make MQPIPE NAME`.

MQPIPE is that build's console script, NAME what it is called by (its commit). The build collects a
broker, simulates a fleet, and writes to Parquet, Delta, New Relic and Kafka; some of the samples
are refused, later ones wait in spools, and then it is killed. All that is on disk then, and the
messages in the topic, become `tests/fixtures/upgrade/NAME.tar.xz`.
"""

import base64
import json
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from tests.kafka.cluster import KafkaCluster
from tests.kafka.topics import consume
from tests.kafka.workload import commit, create_topic, produce
from tests.mqpipe import stored_epoch
from tests.newrelic.behaviour import Status
from tests.newrelic.stand_in import StandIn

FIXTURES = Path(__file__).parents[1] / "fixtures" / "upgrade"
TOPIC = "mqpipe.samples"
INTERVAL = 2
"""Seconds between two ticks."""
CONFIG = """
mode: hybrid
interval: {interval}s
account_id: 7
clusters: [{{name: real, bootstrap_servers: "{bootstrap}", expect: {{brokers: [1], topics: [orders]}}}}]
simulation: {{seed: 7, fleets: [{{name: demo, brokers: 2, topics: 2, groups: 1}}]}}
fill: {{grace: 1s}}
sinks:
{sinks}
dead_letters: {{path: dead-letters}}
recovery: {{path: state, epoch: 1s}}
metrics: {{listen: null}}
"""
FILES = "  parquet: {path: samples, roll: {rows: 24}}\n  deltalake: {path: delta, roll: {rows: 24}}"
NEWRELIC = "  newrelic: {{license_key: {key}, endpoint: {endpoint}}}"
KAFKA = '  kafka: {{bootstrap_servers: "{bootstrap}", topic: {topic}}}'


def make(mqpipe: str, name: str) -> None:
    """Run that build, kill it, and keep what it left."""
    with (
        KafkaCluster() as kafka,
        StandIn() as newrelic,
        tempfile.TemporaryDirectory() as folder,
    ):
        where = Path(folder)
        create_topic(kafka, 2, 1, "orders")
        create_topic(kafka, 1, 1, TOPIC)
        produce(kafka, "orders", [50, 50])
        commit(kafka, "orders", "billing", [10, 20])
        bootstrap = kafka.bootstrap_servers
        sinks = "\n".join(
            (
                FILES,
                NEWRELIC.format(key=newrelic.license_key, endpoint=newrelic.endpoint),
                KAFKA.format(bootstrap=bootstrap, topic=TOPIC),
            )
        )
        text = CONFIG.format(interval=INTERVAL, bootstrap=bootstrap, sinks=sinks)
        (where / "c.yaml").write_text(text)
        newrelic.script([Status(403), Status(403)])
        command = [mqpipe, "run", "c.yaml", "--no-live"]
        process = subprocess.Popen(command, cwd=where, stderr=(where / "log").open("w"))
        epochs = 0
        while epochs < 6:
            time.sleep(0.5)
            assert process.poll() is None, (where / "log").read_text()[-4000:]
            epochs = stored_epoch(where / "state/run")
        newrelic.down()
        kafka.pause(1)
        while stored_epoch(where / "state/run") < epochs + 6:
            time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kafka.resume(1)
        kafka.wait_until_up(1)
        _keep_topic(bootstrap, where / "topic.jsonl")
        (where / "c.yaml").unlink()
        (where / "killed.json").write_text(json.dumps({"at": int(time.time())}))
        FIXTURES.mkdir(parents=True, exist_ok=True)
        with tarfile.open(FIXTURES / f"{name}.tar.xz", "w:xz", preset=9) as archive:
            for path in sorted(where.iterdir()):
                if path.name != "log":
                    archive.add(path, path.name)


def _keep_topic(bootstrap: str, file: Path) -> None:
    def text(value: bytes | None) -> str | None:
        return None if value is None else base64.b64encode(value).decode()

    lines = [
        json.dumps(
            {
                "at": message.timestamp()[1],
                "key": text(message.key()),
                "value": text(message.value()),
                "headers": [[name, text(value)] for name, value in message.headers() or ()],
            }
        )
        for message in consume(bootstrap, TOPIC)
    ]
    file.write_text("\n".join(lines))


if __name__ == "__main__":
    make(*sys.argv[1:])
