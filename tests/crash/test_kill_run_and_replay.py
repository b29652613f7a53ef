"""kill -9 of a recording and of its replay: the topic has everything, the replay has it again."""

import random
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.crash.kills import KILLS
from tests.crash.test_kill_run_and_export import killed_after
from tests.kafka.cluster import Kafka
from tests.mqpipe import samples, start, stop, stored_epoch, wait_for_log, wait_until

LABELS = ("cluster", "broker", "topic", "consumer_group")
KEY = ("entity_guid", "timestamp", "origin")

CONFIG = """
mode: simulation
interval: 100ms
simulation:
  seed: 5
  fleets: [{{name: one, clusters: 3, brokers: 3, topics: 20, groups: 5, pattern: random}}]
sinks:
  parquet: {{path: samples, roll: {{rows: 2000, every: 2s}}}}
  kafka: {{bootstrap_servers: "{bootstrap}", topic: {topic}, spool: {{path: spool}}}}
dead_letters: {{path: dead}}
recovery: {{path: state, epoch: 200ms}}
metrics: {{listen: null}}
"""


def replay_with_kills(folder: Path, text: str, chance: random.Random, most: int) -> int:
    """Replay to `folder`, killed at most so often; gives how often."""
    folder.mkdir()
    (folder / "c.yaml").write_text(text)
    for kills in range(most):
        replay = start(folder, "replay", "c.yaml", "--out", "samples")
        # The first kill comes at once, so that every replay has one.
        if not killed_after(replay, chance.uniform(0, 0.5) if kills else 0):
            return kills
        if complete(folder / "state"):
            return kills + 1
    assert not killed_after(start(folder, "replay", "c.yaml", "--out", "samples"), 120)
    return most


def complete(state: Path) -> bool:
    """Whether the replay that was killed had nothing left to do but to say so."""
    (progress,) = state.glob("replay-*/replay.json")
    return progress.read_text() == "{}"


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(1_000)
@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_replay_of_a_killed_run_has_each_of_its_samples(
    kafka: Kafka, tmp_path: Path, kills: int
) -> None:
    """Set aside what the topic has twice by its key, the replay's rows are those of Parquet."""
    text = CONFIG.format(bootstrap=kafka.bootstrap_servers, topic=f"mq-{kills}-{tmp_path.name}")
    (tmp_path / "c.yaml").write_text(text)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(kills):
        run = start(tmp_path, "run", "c.yaml", "--no-live")
        assert killed_after(run, chance.uniform(0.1, 3)), seed
    stored = stored_epoch(tmp_path / "state/run")
    run = start(tmp_path, "run", "c.yaml", "--no-live")
    wait_for_log(run, "started")
    wait_until(run, lambda: stored_epoch(tmp_path / "state/run") > stored + 2)
    ended = stop(run)
    assert ended.code == 0, ended.err[-4000:]

    killed, replays = 0, 0
    while killed < kills:
        replays += 1
        folder = tmp_path / f"replay-{replays}"
        killed += replay_with_kills(folder, text, chance, kills - killed)
        for label in LABELS:
            replayed = samples(folder / "samples", label).unique(KEY, maintain_order=True)
            assert not replayed.is_empty()
            own = samples(tmp_path / "samples", label)
            # A run that is killed before its first snapshot is stored starts over, later; the
            # topic may have what it had sent.
            since = replayed.filter(pl.col("timestamp") >= own["timestamp"].min())
            assert_frame_equal(since, own)
        assert not (folder / "dead").exists()
