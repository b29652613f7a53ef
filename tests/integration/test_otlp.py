"""Delivery over OTLP: what each answer of a receiver means, outages, restarts, redelivery."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from operators.schema.metrics import BROKER
from sinks.dead_letters import dead_letter_files, read_letters
from sinks.delivery import DeadLetter
from sinks.events import PointsRejected
from sinks.otlp.settings import OtlpSettings
from sinks.patience import Patience
from sinks.sink import OpenSink
from tests.kafka.cluster import Kafka
from tests.kafka.topics import new_topic
from tests.mqpipe import kill, mqpipe, samples, start, stop
from tests.newrelic.behaviour import Hang, Reset, Status
from tests.otlp.conversions import batches_below, expected, reported
from tests.otlp.rules import Rules
from tests.otlp.stand_in import Receiver
from tests.samples import INTERVAL, numbered
from tests.sink_jobs import job_in

KEY = "not-a-real-key-of-anyone"
NAME = "kafka.message.count"
FAULTS = (
    Status(429, retry_after=1),
    Status(429),
    Status(408),
    Status(413),
    Status(500),
    Status(502),
    Status(503, retry_after=1),
    Status(504),
    Reset(),
    Reset(accepts=True),
)


class Job:
    """An OTLP sink of a job, driven as the engine does."""

    def __init__(self, receiver: Receiver, directory: Path, **options: Any) -> None:
        spool = {"path": str(directory / "spool")}
        given = {"endpoint": receiver.endpoint, "timeout": 5, "spool": spool, **options}
        self.sink = OtlpSettings.model_validate(given).sink()
        self.directory = directory
        self.heard: list[object] = []
        self.job = job_in(
            directory,
            interval=INTERVAL,
            listener=self.heard.append,
            grace_left=lambda: 60.0,
            patience=Patience(factor=0.01, maximum=0.05),
        )

    def deliver(self, *batches: pa.RecordBatch, state: Any = None, grace: float = 60.0) -> Any:
        """Write batches and end; gives the last snapshot."""
        opened: OpenSink = self.sink.open(replace(self.job, grace_left=lambda: grace))
        part = opened.output.build_part("step", "spool-0", state)  # type: ignore[attr-defined]
        part.write_batch(list(batches))
        snapshot = part.snapshot()
        part.close()
        return snapshot

    def dead(self) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        return [
            letter
            for file in dead_letter_files(self.directory / "dead")
            for letter in read_letters(file)
        ]

    def redeliver(self) -> Any:
        """Send dead letters and the spool once more."""
        assert self.sink.redeliver is not None
        return self.sink.redeliver(replace(self.job, patience=Patience(0.01, 0.05, attempts=3)))


def recent(numbers: range) -> pa.RecordBatch:
    """Numbered samples up to now, each of a tick of its own."""
    begin = time.time_ns() // 10**6 // INTERVAL * INTERVAL - numbers.stop * INTERVAL
    return numbered(numbers, entity_type=BROKER, start=begin)


def values(receiver: Receiver) -> Counter[float]:
    return Counter(round(p.value / (INTERVAL / 1000) * 7) for p in receiver.points)


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_samples_arrive_once(tmp_path: Path, compression: str) -> None:
    """Compressed as the settings say, with the headers that they name."""
    with Receiver(Rules(headers={"api-key": KEY}, encodings=(compression,))) as receiver:
        job = Job(receiver, tmp_path, headers={"api-key": KEY}, compression=compression)
        job.deliver(recent(range(1000)))
        assert values(receiver) == Counter(range(1000))
    assert not job.dead()


@pytest.mark.parametrize("seed", range(3))
def test_no_fault_costs_a_sample(tmp_path: Path, seed: int) -> None:
    """Each arrives at least once; twice only where the receiver took it and did not say so."""
    with Receiver() as receiver:
        job = Job(receiver, tmp_path)
        receiver.faults(seed=seed, rate=0.5, among=FAULTS)
        job.deliver(*(recent(range(n, n + 50)) for n in range(0, 1000, 50)))
        assert values(receiver).keys() == set(range(1000))
    assert not job.dead()


def test_an_outage_is_waited_for_over_a_restart(tmp_path: Path) -> None:
    """What could not be delivered within the grace is in the spool, and goes first then."""
    with Receiver() as receiver:
        receiver.down()
        job = Job(receiver, tmp_path)
        state = job.deliver(recent(range(100)), grace=0.2)
        receiver.up()
        Job(receiver, tmp_path).deliver(recent(range(100, 200)), state=state)
        assert values(receiver) == Counter(range(200))


def test_a_receiver_that_hangs_is_given_up_after_the_time_out(tmp_path: Path) -> None:
    """And asked again."""
    with Receiver() as receiver:
        receiver.script([Hang()])
        job = Job(receiver, tmp_path, timeout="200ms")
        job.deliver(recent(range(10)))
        assert values(receiver) == Counter(range(10))


def test_what_is_refused_is_a_dead_letter_until_it_is_redelivered(tmp_path: Path) -> None:
    """With the receiver's words; redelivery sends it once the cause is mended."""
    with Receiver(Rules(headers={"api-key": KEY})) as receiver:
        job = Job(receiver, tmp_path, headers={"api-key": "another"})
        job.deliver(recent(range(20)))
        (letter,) = job.dead()
        assert (letter.sink, letter.route, letter.status) == ("otlp", "metrics", 403)
        assert letter.answer == "the api-key is wrong"
        assert len(receiver.requests) == 1
        outcome = job.redeliver()
        assert (outcome.delivered, outcome.dead) == (0, 20)
        done = Job(receiver, tmp_path, headers={"api-key": KEY}).redeliver()
        assert (done.delivered, done.dead, done.problem) == (20, 0, None)
        assert values(receiver) == Counter(range(20))


def test_what_is_left_out_of_a_request_is_reported_and_not_sent_again(tmp_path: Path) -> None:
    """Partial success: the receiver does not say which points, only how many and why."""
    with Receiver(Rules(rejects=NAME)) as receiver:
        job = Job(receiver, tmp_path)
        job.deliver(recent(range(30)))
        assert len(receiver.requests) == 1
    rejected = [event for event in job.heard if isinstance(event, PointsRejected)]
    assert rejected == [PointsRejected("otlp", "metrics", 30, f"{NAME} is not wanted")]
    assert not job.dead()


def test_requests_are_within_the_size_that_new_relic_takes(tmp_path: Path) -> None:
    """However little they can be compressed; one sample alone that is larger is a dead letter."""
    import random

    random.seed(1)
    names = [
        "".join(chr(random.randrange(0x4E00, 0x9FFF)) for _ in range(4_000)) for _ in range(200)
    ]
    huge = numbered(range(200))
    column = huge.schema.get_field_index("anomaly")
    huge = huge.set_column(column, huge.schema.field(column), pa.array(names).dictionary_encode())
    with Receiver() as receiver:
        job = Job(receiver, tmp_path)
        job.deliver(huge)
        assert len(receiver.points) == 200
        assert {r.status for r in receiver.requests} == {200}
        assert len(receiver.requests) > 1


def test_cumulative_sums_go_on_over_restarts_and_redelivery(tmp_path: Path) -> None:
    """Totals and starts are those of a job that was never stopped, whichever way they come."""
    with Receiver(Rules(headers={"api-key": KEY})) as receiver:
        options = {"temporality": "cumulative", "headers": {"api-key": KEY}}
        same = [numbered([1], start=1_795_000_000_000 + n * INTERVAL, interval=0) for n in range(4)]
        state = Job(receiver, tmp_path, **options).deliver(same[0])
        refused = Job(receiver, tmp_path, temporality="cumulative", headers={"api-key": "no"})
        state = refused.deliver(same[1], state=state)
        state = Job(receiver, tmp_path, **options).deliver(same[2], state=state)
        assert Job(receiver, tmp_path, **options).redeliver().delivered == 1
        Job(receiver, tmp_path, **options).deliver(same[3], state=state)
        points = sorted(receiver.points, key=lambda p: p.time)
        assert {p.kind for p in points} == {"cumulative"}
        assert len({p.start for p in points}) == 1
        each = 1 / 7 * INTERVAL / 1000
        assert [p.value for p in points] == pytest.approx([each * n for n in range(1, 5)])


def config(folder: Path, receiver: Receiver, **otlp: Any) -> None:
    (folder / "mqpipe.yaml").write_text(
        yaml.safe_dump(
            {
                "interval": "500ms",
                "simulation": {"fleets": [{"name": "demo", "topics": 3, "groups": 2}]},
                "sinks": {
                    "parquet": {"path": "samples"},
                    "otlp": {"endpoint": receiver.endpoint, "spool": {"path": "spool"}, **otlp},
                },
                "recovery": {"path": "state", "epoch": "300ms"},
                "metrics": {"listen": None},
            }
        )
    )


@pytest.mark.timeout(180)
def test_a_job_that_is_killed_sends_all_that_its_files_hold(tmp_path: Path) -> None:
    """Each sample of the Parquet files, with its totals as if nothing had been killed."""
    with Receiver() as receiver:
        config(tmp_path, receiver, temporality="cumulative")
        process = start(tmp_path, "run", "mqpipe.yaml", "--no-live")
        receiver.wait_until(lambda: receiver._count > 300, 60)
        kill(process)
        process = start(tmp_path, "run", "mqpipe.yaml", "--no-live")
        seen = receiver._count
        receiver.wait_until(lambda: receiver._count > seen + 300, 60)
        assert stop(process).code == 0
        points = receiver.points
    topics = samples(tmp_path / "samples", "topic")
    wanted: Counter[Any] = Counter()
    sums: Counter[str] = Counter()
    for row in topics.sort("timestamp").iter_rows(named=True):
        sums[row["topic"]] += row["topic.messagesInPerSecond"] * 0.5
        wanted[row["topic"], int(row["timestamp"].timestamp() * 1000)] = sums[row["topic"]]
    got = {
        (p.attributes["topic"], p.time // 10**6): p.value
        for p in points
        if p.name == "kafka.prod.msg.count"
    }
    assert got == pytest.approx(dict(wanted))
    assert len({p.start for p in points if p.name == "kafka.prod.msg.count"}) == 1


def test_check_says_what_the_receiver_said(tmp_path: Path) -> None:
    """That it took the probe, or why not."""
    with Receiver(Rules(headers={"api-key": KEY})) as receiver:
        config(tmp_path, receiver, headers={"api-key": KEY})
        found = mqpipe(tmp_path, "check", "mqpipe.yaml", "--connect")
        assert (found.code, "ok: sink otlp: one probe sent\n" in found.out) == (0, True)
        assert [p.name for p in receiver.points] == ["mqpipe.check"]
        assert f"sink otlp: 127.0.0.1:{receiver.port}, about " in found.out
        config(tmp_path, receiver, headers={"api-key": "wrong"})
        found = mqpipe(tmp_path, "check", "mqpipe.yaml", "--connect")
        assert (found.code, "403: the key is not allowed" in found.out) == (1, True)
        assert "wrong" not in found.out.replace("the api-key is wrong", "") + found.err


def test_files_and_points_agree_on_what_is_collected_and_filled(
    tmp_path: Path, kafka: Kafka
) -> None:
    """One hybrid run of a real broker: each value that the files hold arrived, and nothing else."""
    topic = new_topic(kafka.bootstrap_servers)
    with Receiver() as receiver:
        (tmp_path / "mqpipe.yaml").write_text(
            yaml.safe_dump(
                {
                    "mode": "hybrid",
                    "interval": "2s",
                    "fill": {"grace": "1500ms"},
                    "clusters": [
                        {
                            "name": "real",
                            "bootstrap_servers": kafka.bootstrap_servers,
                            "topics": {"include": [topic]},
                            "expect": {"brokers": [1, 77], "topics": [topic]},
                            "like": "demo",
                        }
                    ],
                    "simulation": {"fleets": [{"name": "demo", "topics": 2}]},
                    "sinks": {
                        "parquet": {"path": "samples"},
                        "otlp": {"endpoint": receiver.endpoint},
                    },
                    "recovery": {"path": "state"},
                    "metrics": {"listen": None},
                }
            )
        )
        ended = mqpipe(tmp_path, "run", "mqpipe.yaml", "--for", "5s")
        assert ended.code == 0, ended.err
        got = Counter(reported(receiver.points))
    batches = batches_below(tmp_path / "samples")
    origins = {o for batch in batches for o in batch.column("origin").to_pylist()}
    assert origins == {"collected", "filled", "simulated"}
    assert got == Counter(point for batch in batches for point in expected(batch, 2_000))
