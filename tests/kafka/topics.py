"""Topics for tests: made, filled and read back."""

import uuid
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


def new_topic(bootstrap: str, partitions: int = 1, **config: str) -> str:
    """Makes a topic with a name of its own; `config` with `_` for the dots.

    It keeps messages whatever their timestamp is.
    """
    topic = f"samples-{uuid.uuid4().hex[:8]}"
    settings = {"retention.ms": "-1"} | {
        key.replace("_", "."): value for key, value in config.items()
    }
    admin = AdminClient(_client(bootstrap))
    new = NewTopic(topic, num_partitions=partitions, config=settings)
    admin.create_topics([new])[topic].result()
    return topic


def produce(bootstrap: str, topic: str, messages: Iterable[tuple[int, int, bytes]]) -> None:
    """Messages as (partition, timestamp in ms, value), all of them acknowledged."""
    producer = Producer({**_client(bootstrap), "enable.idempotence": True})
    failed: list[Any] = []

    def on_delivery(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(error)

    for partition, timestamp, value in messages:
        while True:
            try:
                producer.produce(
                    topic,
                    value,
                    partition=partition,
                    timestamp=timestamp,
                    on_delivery=on_delivery,
                )
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
    assert failed == []


def consume(bootstrap: str, topic: str) -> list[Any]:
    """All messages of a topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test"})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    found = []
    for number in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), 10)
        consumer.assign([TopicPartition(topic, number, low)])
        while low < high:
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            found.append(message)
            low = (message.offset() or 0) + 1
    consumer.close()
    return found


def _client(bootstrap: str) -> dict[str, Any]:
    # Errors only: a fresh broker that still loads its coordinators is warned of, and tried again.
    return {"bootstrap.servers": bootstrap, "log_level": 3}
