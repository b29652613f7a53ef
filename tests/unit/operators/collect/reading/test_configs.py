"""Topics' configurations: asked seldom, many at once, and never in the way of a tick."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.errors import CollectionError, Problem
from operators.collect.reading.configs import A_TICK, AT_ONCE, EVERY, TopicConfig, TopicConfigs

REPORTED = {
    "min.insync.replicas": "2",
    "retention.ms": "-1",
    "retention.bytes": "1000",
    "cleanup.policy": "delete, compact",
}
CONFIG = TopicConfig(2, -1, 1000, "compact,delete")
REFUSED = Problem("authorization", "grant DescribeConfigs on Topic")


class Asked(KafkaClient):
    """Answers with `reported`, by topic; what is a Problem alone fails the request."""

    def __init__(self, reported: Mapping[str, Any] | Problem | None = None) -> None:
        self.reported = reported
        self.requests: list[list[str]] = []

    async def topic_configs(
        self, topics: Sequence[str], keys: Sequence[str], timeout: float
    ) -> dict[str, Mapping[str, str] | Problem]:
        self.requests.append(list(topics))
        if isinstance(self.reported, Problem):
            raise CollectionError(self.reported)
        return {
            topic: REPORTED if self.reported is None else self.reported[topic] for topic in topics
        }


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def of(configs: TopicConfigs, client: KafkaClient, *topics: str) -> Mapping[str, TopicConfig]:
    return asyncio.run(configs.of(client, topics, 10.0))


def test_a_topic_is_asked_at_first_and_after_some_minutes() -> None:
    """A new one at once, and no other with it."""
    clock, client = Clock(), Asked()
    configs = TopicConfigs(clock)
    assert of(configs, client, "a") == {"a": CONFIG}
    assert of(configs, client, "a", "b") == {"a": CONFIG, "b": CONFIG}
    clock.now = EVERY
    of(configs, client, "a", "b")
    assert client.requests == [["a"], ["b"], ["a", "b"]]
    assert of(configs, client, "b") == {"b": CONFIG}


def test_many_topics_are_asked_in_few_requests_over_some_ticks() -> None:
    """A cluster of any size costs a tick no more than so much."""
    topics = [str(n) for n in range(A_TICK + 10)]
    client, configs = Asked(), TopicConfigs(Clock())
    assert len(of(configs, client, *topics)) == A_TICK
    assert [len(request) for request in client.requests] == [AT_ONCE] * (A_TICK // AT_ONCE)
    assert len(of(configs, client, *topics)) == len(topics)
    assert client.requests[-1] == topics[A_TICK:]


def test_what_is_refused_is_asked_again_later_and_what_was_known_stays() -> None:
    """One topic's refusal, and a request that fails whole."""
    clock, configs = Clock(), TopicConfigs()
    configs = TopicConfigs(clock)
    assert of(configs, Asked({"a": REPORTED, "b": REFUSED}), "a", "b") == {"a": CONFIG}
    assert configs.problem == REFUSED
    quiet = Asked()
    of(configs, quiet, "a", "b")
    assert quiet.requests == []
    clock.now = EVERY
    assert of(configs, Asked(Problem("timeout", "no answer")), "a", "b") == {"a": CONFIG}
    assert configs.problem == Problem("timeout", "no answer")


def test_a_value_that_is_none_is_null() -> None:
    """Whatever a broker that is not Kafka says."""
    reported = {"t": {"retention.ms": "for ever", "cleanup.policy": " "}}
    assert of(TopicConfigs(), Asked(reported), "t") == {"t": TopicConfig(None, None, None, None)}
