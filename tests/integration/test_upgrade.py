"""What build 85bbb6c left when it was killed: today's goes on from it, and nothing is lost.

`python -m tests.upgrade.make` made it: a state in the middle of a hybrid run, spools whose samples
were not delivered, rows in logs and in files, dead letters, and a recorded topic.
"""

import base64
import json
import os
import subprocess
import tarfile
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Producer

from operators.schema.ipc import decode
from tests.faketime import faketime
from tests.forked import SCRIPT
from tests.kafka.cluster import Kafka
from tests.kafka.topics import consume, new_topic
from tests.mqpipe import delta_samples, mqpipe, samples
from tests.newrelic.rules import Rules
from tests.newrelic.stand_in import StandIn
from tests.upgrade.make import CONFIG, FILES, FIXTURES, INTERVAL, KAFKA, NEWRELIC

pytestmark = pytest.mark.timeout(120)

LABELS = ("cluster", "broker", "topic", "consumer_group")
Keys = Counter[tuple[str, int, str]]


@pytest.fixture(params=[file.name.partition(".")[0] for file in FIXTURES.glob("*.tar.xz")])
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with what a build left."""
    with tarfile.open(FIXTURES / f"{request.param}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def configure(folder: Path, *sinks: str) -> None:
    text = CONFIG.format(interval=INTERVAL, bootstrap="127.0.0.1:9", sinks="\n".join(sinks))
    (folder / "c.yaml").write_text(text)


def run_from_then(folder: Path, *arguments: str) -> None:
    """Run today's build some seconds after that one was killed."""
    killed = json.loads((folder / "killed.json").read_text())["at"]
    moment = datetime.fromtimestamp(killed + 10, UTC)
    env = {
        **os.environ,
        **faketime(),
        "FAKETIME": f"@{moment:%Y-%m-%d %H:%M:%S}",
        "TZ": "UTC",
    }
    command = [str(SCRIPT), "run", "c.yaml", "--no-live", *arguments]
    ran = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert "starts anew" not in ran.stderr


def keys(frames: Mapping[str, pl.DataFrame]) -> Keys:
    found: Keys = Counter()
    for frame in frames.values():
        if frame.height:
            times = frame["timestamp"].dt.epoch("ms")
            found.update(zip(frame["entity_guid"], times, frame["origin"], strict=True))
    return found


def whole(found: Keys, origin: str) -> bool:
    """Whether each entity's samples of an origin have no gap between the first and the last."""
    ticks: dict[str, set[int]] = {}
    for guid, time, of in found:
        if of == origin:
            ticks.setdefault(guid, set()).add(time)
    step = INTERVAL * 1000
    return bool(ticks) and all(
        times == set(range(min(times), max(times) + 1, step)) for times in ticks.values()
    )


def spooled(folder: Path, sink: str) -> tuple[Keys, Keys]:
    """The samples in a sink's spool: those that were settled, and those that wait."""
    settled: Keys = Counter()
    waits: Keys = Counter()
    for spool in (folder / "spool" / sink).iterdir():
        lanes = json.loads((spool / "backlog.json").read_text())["lanes"]
        (log,) = spool.glob("*.log")
        data, place = log.read_bytes(), 0
        while place < len(data):
            end = place + 8 + int.from_bytes(data[place : place + 4], "little")
            batch = pl.from_arrow(decode(data[place + 16 : end]))
            assert isinstance(batch, pl.DataFrame)
            place = end
            (settled if [0, end] <= lanes[0][0] else waits).update(keys({"": samples_of(batch)}))
    return settled, waits


def dead(folder: Path) -> Keys:
    """The samples in dead letters."""
    columns = ["entity_guid", "timestamp", "origin"]
    files = (folder / "dead-letters").rglob("*.parquet")
    return keys({str(f): samples_of(pl.read_parquet(f, columns=columns)) for f in files})


def samples_of(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("entity_guid", "origin").cast(pl.String))


def received(newrelic: StandIn) -> set[tuple[str, int, str]]:
    return {(e["entityGuid"], e["timestamp"], e["origin"]) for e in newrelic.events}


def test_a_run_goes_on_where_that_build_was_killed(left: Path) -> None:
    """Parquet and Delta have each sample once, those of files and those of logs; none is missing."""
    before = keys({label: samples(left / "samples", label) for label in LABELS})
    refused = dead(left)
    settled, waits = spooled(left, "newrelic")
    with StandIn(Rules(windows=False)) as newrelic:
        sink = NEWRELIC.format(key=newrelic.license_key, endpoint=newrelic.endpoint)
        configure(left, FILES, sink)
        run_from_then(left, "--for", "4s")
        arrived = received(newrelic)
    after = keys({label: samples(left / "samples", label) for label in LABELS})
    assert before
    assert before.keys() < after.keys()
    assert set(after.values()) == {1}
    assert whole(after, "simulated")
    assert keys({label: delta_samples(left / "delta", label) for label in LABELS}) == after
    assert waits
    assert (waits.keys() | after.keys()) - settled.keys() <= arrived
    assert dead(left) == refused


def test_what_that_build_could_not_deliver_is_redelivered(left: Path, kafka: Kafka) -> None:
    """Dead letters and both spools, and nothing of them is left."""
    topic = new_topic(kafka.bootstrap_servers)
    refused = dead(left)
    _, waits = spooled(left, "newrelic")
    _, unrecorded = spooled(left, "kafka")
    with StandIn(Rules(windows=False)) as newrelic:
        configure(
            left,
            NEWRELIC.format(key=newrelic.license_key, endpoint=newrelic.endpoint),
            KAFKA.format(bootstrap=kafka.bootstrap_servers, topic=topic),
        )
        ended = mqpipe(left, "redeliver", "c.yaml")
        assert ended.code == 0, (ended.out, ended.err)
        assert refused
        assert refused.keys() | waits.keys() <= received(newrelic)
    sent: Keys = Counter()
    for message in consume(kafka.bootstrap_servers, topic):
        batch = pl.from_arrow(decode(message.value()))
        assert isinstance(batch, pl.DataFrame)
        sent += keys({"": samples_of(batch)})
    assert unrecorded
    assert sent == unrecorded
    assert not dead(left)


def test_a_topic_that_build_recorded_is_replayed(left: Path, kafka: Kafka) -> None:
    """Every row of every message, with what earlier builds did not have as null."""
    topic = new_topic(kafka.bootstrap_servers)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    recorded: Keys = Counter()
    for line in (left / "topic.jsonl").read_text().splitlines():
        message = json.loads(line)
        value = base64.b64decode(message["value"])
        headers: list[tuple[str, str | bytes | None]] = [
            (name, base64.b64decode(text)) for name, text in message["headers"]
        ]
        producer.produce(
            topic, value, base64.b64decode(message["key"]), timestamp=message["at"], headers=headers
        )
        batch = pl.from_arrow(decode(value))
        assert isinstance(batch, pl.DataFrame)
        recorded += keys({"": samples_of(batch)})
    assert producer.flush(30) == 0
    configure(left, KAFKA.format(bootstrap=kafka.bootstrap_servers, topic=topic))
    ended = mqpipe(left, "replay", "c.yaml", "--out", "again")
    assert ended.code == 0, ended.err[-4000:]
    folders = [path.name.removeprefix("type=") for path in (left / "again").glob("type=*")]
    assert keys({label: samples(left / "again", label) for label in folders}) == recorded


def test_files_of_that_build_are_reported(left: Path) -> None:
    """A page of its samples."""
    ended = mqpipe(left, "report", "samples", "--out", "page.html")
    assert ended.code == 0, ended.err
    assert "demo" in (left / "page.html").read_text()
