"""What connections report explains why requests failed, as long as it says a cause."""

from confluent_kafka import KafkaError

from operators.collect.errors import Problem
from operators.collect.troubles import TROUBLES_FOR, Troubles

HUNG_UP = "b:9092/1: Disconnected: connection closed by peer (after 3ms in state APIVERSION_QUERY)"
LATER = "b:9092/1: Disconnected: connection closed by peer (after 12345ms in state UP)"
NO_CERTIFICATE = "ssl://b:9092/1: SSL handshake failed: certificate required (after 2ms in state)"


def log(troubles: Troubles, kind: str, text: str) -> None:
    """A line as confluent-kafka hands it on."""
    troubles.log.log(10, "%s [%s] %s", kind, "mqpipe#admin-1", f"[thrd:b:9092/1]: {text}")


def test_the_last_error_that_says_a_cause_is_kept() -> None:
    """Whatever else comes after it only says that nobody answers."""
    troubles = Troubles()
    assert troubles.cause is None
    troubles.on_error(KafkaError(KafkaError._RESOLVE, "no such host"))
    troubles.on_error(KafkaError(KafkaError._AUTHENTICATION, "wrong password"))
    for _ in range(100):
        troubles.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert troubles.cause == Problem("auth", "wrong password")


def test_what_the_log_alone_says_is_a_cause() -> None:
    """That a certificate is refused, and that a broker hangs up as soon as we speak."""
    troubles = Troubles()
    log(troubles, "FAIL", LATER)
    log(troubles, "CONNECT", NO_CERTIFICATE)
    assert troubles.cause is None
    log(troubles, "FAIL", NO_CERTIFICATE)
    assert troubles.cause == Problem("tls", NO_CERTIFICATE)
    log(troubles, "FAIL", HUNG_UP)
    assert troubles.cause == Problem("refused", HUNG_UP)


def test_a_cause_of_long_ago_explains_nothing() -> None:
    """A minute later the broker may be there again, and hang."""
    now = 0.0
    troubles = Troubles(lambda: now)
    troubles.on_error(KafkaError(KafkaError._AUTHENTICATION, "wrong password"))
    now = TROUBLES_FOR - 1
    assert troubles.cause is not None
    now = TROUBLES_FOR
    assert troubles.cause is None
