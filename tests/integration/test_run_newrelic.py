"""`mqpipe run` to New Relic: what the ingest accepted is what Parquet holds."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from flows.state import hold
from tests.mqpipe import mqpipe, samples, start, stop, wait_for_log
from tests.newrelic.behaviour import Ok, Reset, Status
from tests.newrelic.stand_in import StandIn

pytestmark = pytest.mark.timeout(180)

CONFIG = """
mode: simulation
interval: 500ms
account_id: 7
simulation: {{seed: 1, fleets: [{{name: a, clusters: 2}}]}}
sinks:
  parquet: {{path: samples}}
  newrelic:
    license_key: {key}
    shape: events
    endpoint: {endpoint}
    spool: {{path: spool}}
dead_letters: {{path: dead}}
recovery: {{path: state, epoch: 500ms}}
metrics: {{listen: null}}
"""


def run(folder: Path, newrelic: StandIn, seconds: str = "5s") -> Counter[tuple[str, int]]:
    """Run, and count what Parquet holds by key."""
    text = CONFIG.format(key=newrelic.license_key, endpoint=newrelic.endpoint)
    (folder / "c.yaml").write_text(text)
    ended = mqpipe(folder, "run", "c.yaml", "--no-live", "--for", seconds)
    assert ended.code == 0, ended.err[-4000:]
    assert newrelic.license_key not in ended.err
    keys: Counter[tuple[str, int]] = Counter()
    for label in ("cluster", "broker", "topic", "consumer_group", "group_topic"):
        frame = samples(folder / "samples", label)
        keys.update(zip(frame["entity_guid"], frame["timestamp"].cast(pl.Int64), strict=True))
    return keys


def received(newrelic: StandIn) -> Counter[tuple[str, int]]:
    return Counter((event["entityGuid"], event["timestamp"]) for event in newrelic.rows)


def test_every_sample_arrives_once_when_the_ingest_behaves(
    tmp_path: Path, newrelic: StandIn
) -> None:
    """What Parquet holds and what New Relic accepted is the same, each sample once."""
    written = run(tmp_path, newrelic)
    assert set(written.values()) == {1}
    assert received(newrelic) == written
    assert newrelic.dropped == []


def test_every_sample_arrives_at_least_once_when_it_misbehaves(
    tmp_path: Path, newrelic: StandIn
) -> None:
    """429, 500, resets and 413 along the way lose nothing; nothing is in dead letters."""
    newrelic.script(
        [
            Status(429, retry_after=1),
            Status(500),
            Reset(),
            Status(413),
            Reset(accepts=True),
            Status(503),
            Status(413),
        ]
    )
    written = run(tmp_path, newrelic)
    assert set(received(newrelic)) == set(written)
    assert max(received(newrelic).values()) <= 2, "only what a reset hid is sent again"
    assert list((tmp_path / "dead").rglob("*.parquet")) == []


def test_what_a_wrong_key_kept_is_redelivered(tmp_path: Path, newrelic: StandIn) -> None:
    """Refused samples wait in dead letters, the run goes on, and redeliver sends them."""
    newrelic.always(Status(403))
    written = run(tmp_path, newrelic, "3s")
    assert newrelic.events == []
    newrelic.always(Ok())
    ended = mqpipe(tmp_path, "redeliver", "c.yaml")
    assert ended.code == 0, ended.err
    assert received(newrelic) == written
    again = mqpipe(tmp_path, "redeliver", "c.yaml")
    assert (again.code, "0 samples delivered" in again.out) == (0, True)


def test_redeliver_refuses_beside_a_live_run(tmp_path: Path, newrelic: StandIn) -> None:
    """The state is locked: a live run delivers by itself."""
    run(tmp_path, newrelic, "1s")
    process = start(tmp_path, "run", "c.yaml", "--no-live")
    wait_for_log(process, "run started")
    refused = mqpipe(tmp_path, "redeliver", "c.yaml")
    assert (refused.code, "another mqpipe uses this state" in refused.err) == (1, True)
    assert stop(process).code == 0


def test_redeliver_refuses_beside_a_live_replay(tmp_path: Path, newrelic: StandIn) -> None:
    """A replay writes dead letters too, which must not go with those that are sent."""
    text = CONFIG.format(key=newrelic.license_key, endpoint=newrelic.endpoint)
    (tmp_path / "c.yaml").write_text(text)
    with hold(tmp_path / "state" / "replay-0123456789ab"):
        refused = mqpipe(tmp_path, "redeliver", "c.yaml")
    assert (refused.code, "replay-0123456789ab: another mqpipe" in refused.err) == (1, True)
    assert mqpipe(tmp_path, "redeliver", "c.yaml").code == 0
