"""Errors of a collection: their class, and a line that says what to do."""

import pickle

import pytest
from confluent_kafka import KafkaError, KafkaException

from operators.collect.errors import CollectionError, Problem, problem_of, summary
from operators.pool.task import classify


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (KafkaError._TIMED_OUT, "timeout"),
        (KafkaError._TRANSPORT, "refused"),
        (KafkaError._RESOLVE, "resolve"),
        (KafkaError._SSL, "tls"),
        (KafkaError._AUTHENTICATION, "auth"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "authorization"),
        (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "unavailable"),
        (KafkaError._DESTROY_BROKER, "unavailable"),
        (KafkaError.UNSUPPORTED_VERSION, "unsupported"),
        (KafkaError.UNKNOWN, "unknown"),
    ],
)
def test_every_error_of_kafka_has_a_class(code: int, error_class: str) -> None:
    """By the error's code, bare or in an exception; the text begins with what was done."""
    for error in (KafkaError(code), KafkaException(KafkaError(code))):
        problem = problem_of(error, "prod: read it", "Describe on Group g")
        assert problem.error_class == error_class
        assert problem.text.startswith("prod: read it: ")


def test_a_missing_permission_is_named() -> None:
    """What to grant, at the end of the line."""
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    problem = problem_of(error, "prod: read it", "Describe on Topic t")
    assert problem.text.endswith("; grant Describe on Topic t")


def test_a_silence_is_explained_by_its_cause() -> None:
    """A time-out for a wrong password is an auth error; one without a cause is a time-out."""
    error = KafkaError(KafkaError._TIMED_OUT)
    wrong = Problem("auth", "wrong password")
    assert problem_of(error, "x", cause=wrong).error_class == "auth"
    assert "wrong password" in problem_of(error, "x", cause=wrong).text
    assert problem_of(error, "x").error_class == "timeout"


def test_an_error_that_names_its_request_alone_says_what_it_is_too() -> None:
    """librdkafka leaves the reason out where the broker gave none."""
    error = KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "ConsumerGroupDescribe: ")
    text = problem_of(error, "x").text
    assert text == "x: ConsumerGroupDescribe: Broker: Coordinator load in progress"


def test_other_errors_are_told_with_their_kind() -> None:
    """A time-out is one whoever says so; the rest is unknown, and named."""
    assert problem_of(TimeoutError(), "x").error_class == "timeout"
    assert problem_of(KeyError("k"), "x") == Problem("unknown", "x: KeyError: 'k'")


@pytest.mark.parametrize(
    ("error_class", "retryable"),
    [("timeout", True), ("unavailable", True), ("auth", False), ("config", False)],
)
def test_an_error_tells_its_pool_what_it_is(error_class: str, retryable: bool) -> None:
    """Class and whether another attempt may help; both survive pickling."""
    error = CollectionError(Problem(error_class, "a line"))
    for told in (error, pickle.loads(pickle.dumps(error))):
        assert (classify(told), told.retryable, str(told)) == (error_class, retryable, "a line")


def test_problems_are_summed_up_in_one_line() -> None:
    """The most frequent class; equal texts once; the first three and how many more."""
    problems = [Problem("timeout", f"group {n}") for n in (1, 1, 2, 3, 4, 5)]
    assert summary([Problem("page", "page"), *problems]) == (
        "timeout",
        "page | group 1 | group 2 | and 3 more",
    )
    assert summary([]) == (None, None)
