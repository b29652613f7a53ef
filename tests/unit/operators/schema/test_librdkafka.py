"""What librdkafka says of its properties before anything connects."""

import pytest
from pydantic import ValidationError

from operators.schema.kafka import KafkaConnection
from operators.schema.librdkafka import fault_of


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "AWS_MSK_IAM"),
        ("ssl.ca.location", "/nowhere"),
        ("auto.offset.reset", "earliest"),
        ("share.acknowledgement.mode", "implicit"),
    ],
)
def test_a_right_property_has_no_fault(name: str, value: str) -> None:
    """Alone too, where it takes others or a file, and where it is a consumer's."""
    assert fault_of(name, value) is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("security.protocl", "SSL", "did you mean `security.protocol`?"),
        ("error_cb", "x", "there is no property `error_cb`"),
        ("security.protocol", "SLS", "Invalid value"),
        ("linger.ms", "abc", "`linger.ms`: Invalid value"),
        ("message.max.bytes", "10", "outside allowed range 1000..1000000000"),
    ],
)
def test_a_wrong_property_is_reported(name: str, value: str, says: str) -> None:
    """By its name, with the nearest right one."""
    assert says in (fault_of(name, value) or "")


def test_a_connection_has_none_that_is_wrong() -> None:
    """All of them are reported, each with its place."""
    client = {"security.protocl": "SSL", "client.id": "a", "linger.ms": "abc"}
    with pytest.raises(ValidationError) as failed:
        KafkaConnection.model_validate({"bootstrap_servers": "a:1", "client": client})
    (error,) = failed.value.errors()
    assert [place for place, _ in error["ctx"]["error"].misfits] == [
        ("client", "security.protocl"),
        ("client", "linger.ms"),
    ]
