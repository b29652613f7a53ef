"""How long, and how much, topics keep."""

import asyncio
from typing import Any

import numpy as np
import pytest

from operators.collect.reading.commits import commits_of
from operators.collect.reading.configs import TopicConfig, TopicConfigs
from operators.collect.reading.limits import NOT_KNOWN, Limits, message_sizes
from operators.collect.reading.offsets import Offsets
from tests.kafka_metadata import topology
from tests.reported_groups import ReportedGroup, groups_of

CLUSTER = topology([1, 2], {"t": [(1, [1, 2], [1, 2]), (1, [1, 2], [1, 2])]})
COMMITS = commits_of(
    groups_of(ReportedGroup("g", "Stable", "classic", (), (), (("t", 0, 5), ("t", 1, 5)), 0)),
    CLUSTER,
)
INF, NAN = float("inf"), float("nan")


def offsets(start: list[int], end: list[int]) -> Offsets:
    """Offsets of the topic's two partitions."""
    zeros = np.zeros(2, np.int64)
    return Offsets(np.array(start), np.array(end), zeros, zeros, ())


def config(
    ms: int | None = -1, size: int | None = -1, policy: str | None = "delete"
) -> TopicConfig:
    """What a topic says of itself."""
    return TopicConfig(1, ms, size, policy)


@pytest.mark.parametrize(
    ("of", "seconds", "room"),
    [
        (config(60_000), 60, [INF, INF]),
        (config(), INF, [INF, INF]),
        (config(60_000, 1_000, "compact"), INF, [INF, INF]),
        (config(60_000, 1_000, "compact,delete"), 60, [10, 10]),
        (config(60_000, 1_000, None), 60, [10, 10]),
        (config(None, None), NAN, [NAN, NAN]),
        (None, NAN, [NAN, NAN]),
    ],
)
def test_limits_are_what_the_configuration_says(
    of: TopicConfig | None, seconds: float, room: list[float]
) -> None:
    """None where it says so, or where nothing is deleted; not known where nobody reports it."""
    limits = Limits({} if of is None else {"t": of}, {"t": 100.0})
    found = limits.of(COMMITS, offsets([0, 0], [50, 50]))
    np.testing.assert_array_equal(found[0], [seconds, seconds])
    np.testing.assert_array_equal(found[1], room)


def test_a_partition_of_which_something_was_removed_is_taken_to_be_full() -> None:
    """Where nobody reports how large messages are: it holds 20 of 50, the other was never limited."""
    limits = Limits({"t": config(60_000, 1_000)})
    np.testing.assert_array_equal(limits.of(COMMITS, offsets([30, 0], [50, 50]))[1], [20, NAN])


def test_message_sizes_are_of_all_replicas_and_all_brokers() -> None:
    """100 messages on two brokers, 10,000 bytes each; none where a broker is missing."""
    limited = {"t": config(60_000, 1_000)}
    read = offsets([0, 0], [60, 40])
    reported: dict[int, dict[str, int]] = {1: {"t": 10_000}, 2: {"t": 10_000}}
    assert message_sizes(limited, CLUSTER, read, reported) == {"t": 100.0}
    assert message_sizes(limited, CLUSTER, read, {1: {"t": 10_000}}) == {}
    assert message_sizes({"t": config()}, CLUSTER, read, reported) == {}


@pytest.mark.parametrize(
    ("policy", "flag"), [("compact", 1), ("compact,delete", 1), ("delete", 0), (None, None)]
)
def test_compacted_topics_are_reported(policy: str | None, flag: int | None) -> None:
    """By their cleanup policy."""
    assert Limits({"t": config(policy=policy)}).compacted("t") == flag
    assert NOT_KNOWN.compacted("t") is None


def test_configurations_are_asked_once_for_all_who_want_them() -> None:
    """Topics and groups ask at once, of sets that overlap; what is still there is not forgotten."""
    asked: list[list[str]] = []

    class Client:
        async def topic_configs(self, topics: list[str], *_: Any) -> dict[str, dict[str, str]]:
            asked.append(list(topics))
            await asyncio.sleep(0)
            return {topic: {"retention.ms": "1000"} for topic in topics}

    async def run() -> None:
        configs, client = TopicConfigs(), Client()
        there = {"a", "b", "c"}
        for _ in range(2):
            both = await asyncio.gather(
                configs.of(client, ["a", "b"], 5, there),  # type: ignore[arg-type]
                configs.of(client, ["b", "c"], 5, there),  # type: ignore[arg-type]
            )
            assert [sorted(found) for found in both] == [["a", "b"], ["b", "c"]]

    asyncio.run(run())
    assert asked == [["a", "b"], ["c"]]
