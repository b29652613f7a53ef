"""Kafka messages: every sample is in one, by cluster and type, within the size and the span."""

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.arrow import one_batch
from operators.schema.ipc import decode
from operators.schema.kafka import MESSAGE_SPAN
from operators.schema.metrics import TOPIC
from sinks.delivery import Rejected, RetryLater, TooLarge
from sinks.kafka.destination import Kafka, failure_of
from sinks.kafka.messages import OVERHEAD, Message, messages
from sinks.kafka.settings import KafkaSettings
from tests.samples import INTERVAL, NEW_YEAR, numbered

MOST = 1_000_000


def numbers(message: Message) -> list[int]:
    names = decode(message.value).column("entity_name").to_pylist()
    return [int(name.rpartition("/")[2]) for name in names]


def test_a_message_is_one_batch_of_a_cluster_and_entity_type() -> None:
    """Its key is the cluster, its timestamp the first tick's, its headers say what it is."""
    made = list(
        messages(
            [
                numbered([2, 1], "prod"),
                numbered([3], "prod", TOPIC),
                numbered([4], "test"),
            ],
            MOST,
        )
    )
    assert [(m.cluster, numbers(m)) for m in made] == [
        ("prod", [2, 1]),
        ("prod", [3]),
        ("test", [4]),
    ]
    assert [m.timestamp for m in made] == [NEW_YEAR + n * INTERVAL for n in (1, 3, 4)]
    assert made[1].headers == [
        ("mqpipe.schema_version", b"2"),
        ("mqpipe.entity_type", b"MESSAGE_QUEUE_TOPIC"),
    ]


def test_consecutive_ticks_are_joined() -> None:
    """What waited during an outage goes in few messages."""
    (message,) = messages([numbered([n], "prod") for n in range(50)], MOST)
    assert numbers(message) == list(range(50))


def test_a_batch_of_several_clusters_is_taken_apart() -> None:
    """Also where the cluster is not known."""
    batch = one_batch([numbered([n], f"c{n % 2}") for n in range(4)])
    nobodys = batch.set_column(4, "cluster_name", pa.nulls(4, batch.schema.field(4).type))
    made = [(m.cluster, numbers(m)) for m in messages([batch, nobodys], MOST)]
    assert made == [("c0", [0, 2]), ("c1", [1, 3]), ("", [0, 1, 2, 3])]


@given(st.integers(1, 200), st.integers(16_000, 60_000))
@settings(max_examples=30)
def test_messages_stay_under_the_size(rows: int, most_bytes: int) -> None:
    """By halving; order is kept, nothing is lost, nothing is there twice."""
    made = list(messages([numbered(range(rows))], most_bytes))
    assert all(len(m.value) <= most_bytes - OVERHEAD for m in made)
    assert [n for m in made for n in numbers(m)] == list(range(rows))


def test_a_message_spans_no_longer_than_a_replay_looks_back() -> None:
    """An export's block of many hours becomes a message for each span."""
    per_span = MESSAGE_SPAN // INTERVAL
    made = list(messages([numbered(range(per_span * 2 + 1))], 10 * MOST))
    assert [len(numbers(m)) for m in made] == [per_span, per_span, 1]
    assert [m.timestamp for m in made] == [NEW_YEAR + n * MESSAGE_SPAN for n in range(3)]


def test_a_sample_that_no_message_can_hold_is_refused() -> None:
    """It goes to dead letters instead of being tried for ever."""
    kafka = {"bootstrap_servers": "localhost:9092", "client": {"message.max.bytes": 2_000}}
    (parcel,) = Kafka(KafkaSettings.model_validate(kafka)).pack((numbered([1]),), None, 0)
    assert parcel.refused == "one sample takes more than the 2000 bytes of a message"


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, TooLarge),
        (KafkaError.INVALID_RECORD, Rejected),
        (KafkaError.INVALID_TIMESTAMP, Rejected),
        (KafkaError._MSG_TIMED_OUT, RetryLater),
        (KafkaError.NOT_ENOUGH_REPLICAS, RetryLater),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, RetryLater),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, RetryLater),
    ],
)
def test_only_a_messages_own_fault_ends_in_dead_letters(
    code: int, failure: type[Exception]
) -> None:
    """Everything else may pass: an outage, a missing right, a missing topic."""
    assert type(failure_of(KafkaError(code), "connection refused")) is failure


def test_the_reason_names_the_cause_of_an_outage() -> None:
    """A time-out alone would not say why."""
    failure = failure_of(KafkaError(KafkaError._MSG_TIMED_OUT), "127.0.0.1:1: refused")
    assert isinstance(failure, RetryLater)
    assert failure.reason.startswith("_MSG_TIMED_OUT: ")
    assert failure.reason.endswith("(127.0.0.1:1: refused)")


def test_secrets_of_the_client_are_not_shown() -> None:
    """Any property may be one."""
    connection = {"bootstrap_servers": "b:1", "client": {"sasl.password": "geheim"}}
    kafka = KafkaSettings.model_validate(connection)
    assert "geheim" not in repr(kafka)
    assert kafka.client_config()["sasl.password"] == "geheim"
