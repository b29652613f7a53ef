"""Whether a probe may do what it does: what the cluster's answers mean."""

from collections.abc import Sequence
from typing import cast

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.errors import CollectionError, Problem
from operators.collect.probe_check import AGAIN, probe_problems
from tests.virtual_time import run

ALL = frozenset({"Read", "Write", "Delete"})


class Answers:
    """Stands in for KafkaClient: the topic is there; the group gives these answers in turn."""

    cluster = "prod"

    def __init__(self, of_group: Sequence[CollectionError | frozenset[str]]) -> None:
        self.of_group = list(of_group)

    async def topic(self, topic: str, timeout: float) -> frozenset[str]:
        return ALL

    async def group(self, group: str, timeout: float) -> frozenset[str]:
        answer = self.of_group.pop(0) if len(self.of_group) > 1 else self.of_group[0]
        if isinstance(answer, CollectionError):
            raise answer
        return answer


NOT_YET = CollectionError(Problem("unavailable", "prod: not the coordinator"))


def problems(*of_group: CollectionError | frozenset[str]) -> list[Problem]:
    client = cast("KafkaClient", Answers(of_group))
    return run(probe_problems(client, "__mqpipe_probe", 5 * AGAIN))


def test_a_group_waits_for_its_coordinator() -> None:
    """A cluster to which the group is new has none at first: that is no problem."""
    assert problems(NOT_YET, NOT_YET, ALL) == []


def test_a_coordinator_that_does_not_come_is_the_problem() -> None:
    """Reported as what was answered last, when the time is over."""
    assert problems(NOT_YET) == [NOT_YET.problem]


def test_what_is_not_permitted_is_named() -> None:
    """Each operation that is lacking, and on what."""
    [problem] = problems(frozenset({"Read"}))
    assert problem.error_class == "authorization"
    assert problem.text.endswith("; grant Delete on Group __mqpipe_probe")


def test_what_another_attempt_does_not_mend_is_reported_at_once() -> None:
    """Without asking again."""
    wrong = CollectionError(Problem("auth", "prod: wrong password"))
    assert problems(wrong, ALL) == [wrong.problem]
