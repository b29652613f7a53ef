"""Errors of a collection: their class, and a line that says what to do."""

import pickle

import pytest

from operators.collect.client.frames import GarbledError
from operators.collect.errors import (
    CollectionError,
    Problem,
    problem_of,
    problem_of_code,
    summary,
)
from operators.pool.task import classify
from operators.protocol.errors import RequestError


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (7, "timeout"),
        (58, "auth"),
        (30, "authorization"),
        (14, "unavailable"),
        (16, "unavailable"),
        (6, "unavailable"),
        (35, "unsupported"),
        (-1, "unknown"),
    ],
)
def test_every_error_of_kafka_has_a_class(code: int, error_class: str) -> None:
    """By the error's code; the text begins with what was done, and has what the broker said."""
    problem = problem_of_code(code, "prod: read it", "Describe on Group g", "as it says")
    assert problem.error_class == error_class
    assert problem.text.startswith("prod: read it: ")
    assert "as it says" in problem.text


def test_a_missing_permission_is_named() -> None:
    """What to grant, at the end of the line."""
    problem = problem_of_code(29, "prod: read it", "Describe on Topic t")
    assert problem.text == (
        "prod: read it: not permitted (TOPIC_AUTHORIZATION_FAILED); grant Describe on Topic t"
    )


def test_a_request_that_failed_says_why_and_what_to_do() -> None:
    """Its own text between what was done and advice."""
    problem = problem_of(RequestError("auth", "broker 2 (b:9092): wrong password"), "prod: read it")
    assert problem.error_class == "auth"
    assert problem.text.startswith("prod: read it: broker 2 (b:9092): wrong password; check ")
    assert "sasl.password" in problem.text


def test_other_errors_are_reported_with_their_kind() -> None:
    """A time-out is one whoever says so; the rest is unknown, and named."""
    assert problem_of(TimeoutError(), "x").error_class == "timeout"
    assert problem_of(GarbledError("cut"), "x").error_class == "garbage"
    assert problem_of(KeyError("k"), "x") == Problem("unknown", "x: KeyError: 'k'")


@pytest.mark.parametrize(
    ("error_class", "retryable"),
    [("timeout", True), ("unavailable", True), ("auth", False), ("config", False)],
)
def test_an_error_says_to_its_pool_what_it_is(error_class: str, retryable: bool) -> None:
    """Class and whether another attempt may help; both survive pickling."""
    error = CollectionError(Problem(error_class, "a line"))
    for reported in (error, pickle.loads(pickle.dumps(error))):
        assert (classify(reported), reported.retryable, str(reported)) == (
            error_class,
            retryable,
            "a line",
        )


def test_problems_are_summed_up_in_one_line() -> None:
    """The most frequent class; equal texts once; the first three and how many more."""
    problems = [Problem("timeout", f"group {n}") for n in (1, 1, 2, 3, 4, 5)]
    assert summary([Problem("page", "page"), *problems]) == (
        "timeout",
        "page | group 1 | group 2 | and 3 more",
    )
    assert summary([]) == (None, None)
