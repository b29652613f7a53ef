"""The Kafka destination's connections: none is lost, and no message waits for one that is closed."""

import asyncio
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from operators.recorded.plan import ReplayError, replay_plan
from operators.recorded.tail import RecordedTail
from operators.schema import msk_iam
from sinks.delivery import Parcel, RetryLater
from sinks.kafka.destination import PRODUCER_DEFAULTS, Kafka, _KafkaProducer
from sinks.kafka.messages import Message, messages
from sinks.kafka.probe import probe
from sinks.kafka.settings import KafkaSettings
from sinks.spool.settings import SpoolSettings
from sinks.spool.sink import SpooledSink
from tests.samples import numbered
from tests.sink_jobs import job_in

NOWHERE = "127.0.0.1:1"


def message() -> Message:
    return next(messages([numbered([1])], 1_000_000))


def test_a_message_that_is_under_way_fails_when_the_connection_is_closed() -> None:
    """Otherwise its sender would wait for ever."""

    async def run() -> KafkaError | None:
        config = {**PRODUCER_DEFAULTS, "bootstrap.servers": NOWHERE}
        connection = _KafkaProducer(config, asyncio.get_running_loop())
        produced = asyncio.create_task(connection.produce("t", message()))
        await asyncio.sleep(0)
        await asyncio.to_thread(connection.close)
        return await asyncio.wait_for(produced, 30)

    error = asyncio.run(run())
    assert error is not None
    assert error.name() == "_PURGE_QUEUE"


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (
            {"security.protocol": "SSL", "ssl.ca.location": "/nowhere/ca.pem"},
            "ssl.ca.location failed",
        ),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "AWS_MSK_IAM"}, "no AWS credentials"),
    ],
)
def test_what_lacks_a_file_or_credentials_waits_for_them(
    monkeypatch: pytest.MonkeyPatch, client: dict[str, str], reason: str
) -> None:
    """No sample becomes a dead letter for it, and who asks beforehand is told the same."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    msk_iam._session.cache_clear()
    settings = KafkaSettings.model_validate({"bootstrap_servers": NOWHERE, "client": client})
    kafka = Kafka(settings)

    async def run() -> None:
        await kafka.start()
        await kafka.send(Parcel((numbered([1]),), "t", message()))

    with pytest.raises(RetryLater, match=reason):
        asyncio.run(run())
    with pytest.raises(OSError, match=f"{NOWHERE}: .*{reason}"):
        probe(settings)
    with pytest.raises(ReplayError, match=f"topic `t` cannot be read: .*{reason}"):
        replay_plan(settings, "t", 0, 1)
    with pytest.raises(ReplayError, match=f"topic `t` cannot be read: .*{reason}"):
        RecordedTail(settings, "t")


def test_a_fatal_error_closes_the_connection_that_had_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however many messages report it, and never the one that was made after it."""
    made: list[Any] = []

    class Failing:
        last_error = ""

        def __init__(self, *_: object) -> None:
            self.closed = threading.Event()
            self.fails = not made
            made.append(self)

        async def produce(self, topic: str, message: Message) -> KafkaError | None:
            await asyncio.sleep(0)
            return KafkaError(KafkaError._FATAL, "out of order", fatal=True) if self.fails else None

        def close(self) -> None:
            assert not self.closed.is_set()
            self.closed.set()

    monkeypatch.setattr("sinks.kafka.destination._KafkaProducer", Failing)
    kafka = Kafka(KafkaSettings(bootstrap_servers=NOWHERE))
    kafka._topic_is_there = True
    parcel = Parcel((numbered([1]),), "t", message())

    async def run() -> list[Any]:
        await kafka.start()
        first = asyncio.gather(*(kafka.send(parcel) for _ in range(3)), return_exceptions=True)
        failed = await first
        await kafka.send(parcel)
        return failed

    failed = asyncio.run(run())
    assert [type(error) for error in failed] == [RetryLater] * 3
    assert [connection.closed.is_set() for connection in made] == [True, False]


def test_a_drain_does_not_wait_for_brokers_that_are_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for what they were asked about the topic; otherwise it would be forced to end."""
    asked, answer = threading.Event(), Future[None]()
    answer.set_running_or_notify_cancel()  # as the client's futures are: they cannot be cancelled
    late = threading.Timer(20, answer.set_result, [None])

    class Silent:
        def __init__(self, *_: object, **__: object) -> None: ...

        def describe_topics(self, *_: object, **__: object) -> dict[str, Future[None]]:
            asked.set()
            return {"mqpipe.samples": answer}

    monkeypatch.setattr("sinks.kafka.destination.AdminClient", Silent)
    settings = KafkaSettings(bootstrap_servers=NOWHERE, spool=SpoolSettings(path=tmp_path))
    sink = SpooledSink(Kafka(settings), settings.spool, job_in(tmp_path))
    partition = sink.build_part("step", "spool-0", None)
    partition.write_batch([numbered([1])])
    partition.snapshot()
    assert asked.wait(30)
    late.start()
    partition.close()
    late.cancel()
    assert not answer.done()
