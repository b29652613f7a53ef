"""What groups' columns foresee, held against what then came in the same simulation."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from operators.schema.metrics import CONSUMER_GROUP, GROUP_TOPIC
from operators.simulate.shard import Shard
from tests.simulated_fleets import INTERVAL, samples, spec_of

BEGIN = datetime(2026, 1, 1, 10, 20, tzinfo=UTC)
TICK = INTERVAL / 1000
TICKS = 720
"""Six hours."""

LOSSES: dict[str, dict[str, Any]] = {
    "stall": {"retention": "40m", "wrong": {"kind": "consumer_stall", "duration": "5h"}},
    "stall, long retention": {
        "retention": "3h",
        "wrong": {"kind": "consumer_stall", "duration": "5h"},
    },
    "slow drain": {"retention": "30m", "wrong": {"kind": "slow_drain", "duration": "5h30m"}},
    "retention is cut": {"retention": "7d", "wrong": {"kind": "retention_loss", "duration": "1h"}},
    "by day": {
        "retention": "1h",
        "pattern": {"kind": "business_hours"},
        "wrong": {"kind": "consumer_stall", "duration": "5h"},
    },
}


class Course(NamedTuple):
    """One group on one topic, tick by tick."""

    margin: np.ndarray
    """NaN where nothing is in sight."""
    catch_up: np.ndarray
    lost: np.ndarray
    state: list[str]


def courses(case: dict[str, Any], seeds: range = range(6)) -> Iterator[Course]:
    """What groups on topics go through, of several seeds."""
    settings: dict[str, Any] = {"pattern": "constant", "noise": 0.2} | case
    for seed in seeds:
        wrong = {"entity": "sim/billing", "start": BEGIN, **settings["wrong"]}
        fleet = {name: value for name, value in settings.items() if name != "wrong"}
        shard = Shard(spec_of(seed, [wrong], **fleet), 1)
        blocks = [TICKS // 2, TICKS - TICKS // 2]
        rows = samples(shard, blocks, only=[GROUP_TOPIC])[GROUP_TOPIC]
        for _, of in rows.filter(pl.col("consumer_group") == "billing").group_by("topic"):
            yield Course(
                of["consumerGroup.marginSeconds"].fill_null(np.nan).to_numpy(),
                of["consumerGroup.catchUpSeconds"].fill_null(np.nan).to_numpy(),
                of["consumerGroup.lostMessages"].to_numpy(),
                of["consumerGroup.lagState"].to_list(),
            )


@pytest.fixture(scope="module", params=LOSSES)
def losing(request: pytest.FixtureRequest) -> list[Course]:
    """What groups go through that lose messages, in one of the cases."""
    return list(courses(LOSSES[request.param]))


def errors(said: list[tuple[float, int]]) -> np.ndarray:
    """Relative errors of what was said (s) against what came, between the last tick and that one."""
    foreseen, ticks = np.array(said).T
    real = np.clip(foreseen, (ticks - 1) * TICK, ticks * TICK)
    found: np.ndarray = np.abs(foreseen - real) / real
    return found


def test_the_margin_says_when_messages_will_be_lost(losing: list[Course]) -> None:
    """Half way from the first word that a group falls behind to its first loss: a tenth at most."""
    said = []
    for course in losing:
        first = int(np.argmax(course.lost > 0))
        assert course.lost[first] > 0, "the case is meant to lose"
        behind = next(t for t, word in enumerate(course.state) if word in ("behind", "stalled"))
        half = (behind + first) // 2
        said.append((course.margin[half], first - half))
    wrong = errors(said)
    assert np.median(wrong) <= 0.1
    assert np.quantile(wrong, 0.9) <= 0.25


def test_no_group_that_loses_was_called_safe(losing: list[Course]) -> None:
    """A tick before its first loss it has two ticks at most, and long before less than an hour."""
    for course in losing:
        first = int(np.argmax(course.lost > 0))
        assert course.margin[first - 1] <= 2 * TICK
        behind = next(t for t, word in enumerate(course.state) if word in ("behind", "stalled"))
        late = max((behind + first) // 2, first - 100)
        assert (course.margin[late:first] <= 3_600).all()


@pytest.mark.parametrize(
    "case",
    [
        {"wrong": {"kind": "consumer_stall", "duration": "1h30m"}},
        {"wrong": {"kind": "slow_drain", "duration": "3h", "recovery": 0}},
        {"wrong": {"kind": "consumer_stall", "duration": "1h"}, "capacity": 1.4},
    ],
)
def test_a_group_that_catches_up_says_when(case: dict[str, Any]) -> None:
    """Half way from the moment at which its lag shrinks to its keeping up again."""
    said = []
    for course in courses(case):
        last = max(t for t, word in enumerate(course.state) if word in ("behind", "stalled"))
        kept = next(t for t in range(last, TICKS) if course.state[t] == "keeping up")
        half = (last + kept) // 2
        assert course.state[half] == "catching up"
        said.append((course.catch_up[half], kept - half))
    wrong = errors(said)
    assert np.median(wrong) <= 0.1
    assert np.quantile(wrong, 0.9) <= 0.25


def test_lost_messages_are_counted_once_and_apart_from_lag() -> None:
    """Lag is what Kafka's tool says; of it there is what is retained; the rest was lost, once."""
    case = {"pattern": "constant", "retention": "20m", "groups": 1, "topics": 1}
    wrong = [{"kind": "consumer_stall", "entity": "sim/billing", "start": BEGIN, "duration": "2h"}]
    made = samples(Shard(spec_of(3, wrong, **case), 1), [TICKS])
    group = made[CONSUMER_GROUP]
    gone = group["consumerGroup.totalLag"] - group["consumerGroup.unreadMessages"]
    lost = group["consumerGroup.lostMessages"]
    assert lost.sum() > 0
    still = group["consumerGroup.messagesConsumedPerSecond"] == 0
    # While it reads nothing, what is gone grows by what is lost; when it reads again, that is over.
    assert gone[1:].to_list() == [
        new + (before if waits else 0)
        for new, waits, before in zip(lost[1:], still[1:], gone[:-1], strict=True)
    ]
    assert gone[-1] == 0
    assert set(group["consumerGroup.lagState"]) >= {"stalled", "losing", "keeping up"}
