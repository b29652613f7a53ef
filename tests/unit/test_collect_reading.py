"""What a tick reads: once for all kinds, commits before end offsets, and parts that fail."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from operators.collect.budget import Budget
from operators.collect.commits import commits_of
from operators.collect.errors import CollectionError, Problem
from operators.collect.offsets import UNKNOWN
from operators.collect.once import Once
from operators.collect.page_settings import PagesSettings
from operators.collect.pages import PageReader
from operators.collect.reading import Memory, Reading
from operators.collect.settings import ClusterSettings
from tests import virtual_time
from tests.fake_client import FakeClient, timed_out
from tests.metadata import topology

T = TypeVar("T")

SETTINGS = ClusterSettings(name="fake", bootstrap_servers="nowhere:9092")
TWO_LEADERS = topology([1, 2], {"a": [(1, [1], [1]), (2, [2], [2])], "b": [(1, [1], [1])]})
ENDS = {"a": 10, "b": 20}
COMMITS = {"g": [("a", 0, 4), ("a", 1, 10)], "h": [("b", 0, 1)]}


def fake() -> FakeClient:
    return FakeClient(TWO_LEADERS, COMMITS, ENDS)


def reading(client: Any, memory: Memory | None = None) -> Reading:
    return Reading(client, PageReader("fake", PagesSettings()), SETTINGS, memory or Memory())


def budget() -> Budget:
    return Budget(60.0)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


# Once


def test_whoever_comes_shares_one_answer() -> None:
    """Many waiters, one question."""

    async def check() -> tuple[list[int], int]:
        asked = 0

        async def ask() -> int:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0)
            return 7

        once = Once[int]()
        return await asyncio.gather(*(once.get(ask) for _ in range(5))), asked

    assert run(check()) == ([7] * 5, 1)


def test_a_failure_goes_to_all_who_wait_and_the_next_asks_anew() -> None:
    """Each waiter has the error; a later one has another chance."""

    async def check() -> tuple[list[Any], int]:
        answers: Iterator[OSError | int] = iter([OSError("no"), 7])

        async def ask() -> int:
            await asyncio.sleep(0)
            answer = next(answers)
            if isinstance(answer, OSError):
                raise answer
            return answer

        once = Once[int]()
        first = await asyncio.gather(once.get(ask), once.get(ask), return_exceptions=True)
        return [type(error) for error in first], await once.get(ask)

    assert run(check()) == ([OSError, OSError], 7)


def test_a_waiter_that_is_cancelled_does_not_stop_the_others() -> None:
    """The asking goes on for whoever else waits."""

    async def check() -> int:
        release = asyncio.Event()

        async def ask() -> int:
            await release.wait()
            return 7

        once = Once[int]()
        impatient = asyncio.create_task(once.get(ask))
        patient = asyncio.create_task(once.get(ask))
        await asyncio.sleep(0)
        impatient.cancel()
        release.set()
        return await patient

    assert run(check()) == 7


# A tick


def test_each_thing_is_read_once_for_all_kinds() -> None:
    """Metadata, groups and offsets are shared by whoever asks at the same tick."""

    async def check(client: FakeClient) -> None:
        tick = reading(client)
        await asyncio.gather(
            *(tick.topology(budget()) for _ in range(3)),
            *(tick.offsets(budget()) for _ in range(2)),
            *(tick.groups(budget()) for _ in range(2)),
        )
        # A kind that comes later finds it all there.
        await asyncio.gather(tick.offsets(budget()), tick.commits(budget()))

    client = fake()
    run(check(client))
    # Two leaders, start and end offsets each.
    assert sorted(client.calls) == sorted(
        ["topology", "listing", "g", "h", *["offsets"] * 4, "topic_ids"]
    )


def test_commits_are_read_before_end_offsets() -> None:
    """Whoever asks for offsets first waits for the commits."""
    client = fake()
    run(reading(client).offsets(budget()))
    assert client.calls.index("offsets") > max(client.calls.index(g) for g in COMMITS)


def test_groups_asked_anew_have_end_offsets_asked_anew() -> None:
    """A retry's commits are newer than the offsets that others have read meanwhile."""

    async def check(client: FakeClient) -> None:
        tick = reading(client)
        client.failing["listing"] = CollectionError(Problem("unavailable", "loading"))
        await tick.offsets(budget())
        client.failing.clear()
        before = client.calls.count("offsets")
        # As the kind `groups` asks.
        await asyncio.gather(tick.commits(budget()), tick.offsets(budget()))
        assert client.calls.count("offsets") == 2 * before

    run(check(fake()))


def test_without_groups_offsets_are_read_all_the_same() -> None:
    """A coordinator's trouble costs the groups, not the topics."""

    async def check(client: FakeClient) -> list[int]:
        client.failing["listing"] = CollectionError(Problem("timeout", "no answer"))
        offsets, ids = await reading(client).offsets(budget())
        assert ids == {"a": "id of a", "b": "id of b"}
        ends: list[int] = offsets.end.tolist()
        return ends

    assert run(check(fake())) == [10, 10, 20]


def test_without_metadata_each_kind_fails_and_a_retry_asks_anew() -> None:
    """The failure is each one's own; the next attempt has another chance."""

    async def check(client: FakeClient) -> None:
        tick = reading(client)
        client.failing["topology"] = CollectionError(Problem("auth", "wrong password"))
        failed = await asyncio.gather(
            tick.topology(budget()), tick.offsets(budget()), return_exceptions=True
        )
        assert [getattr(error, "error_class", None) for error in failed] == ["auth", "auth"]
        client.failing.clear()
        assert await tick.topology(budget()) is TWO_LEADERS

    run(check(fake()))


def test_metadata_is_tried_again_where_a_broker_hangs() -> None:
    """The second try goes through new connections; an error that lasts is not tried again."""

    async def check(client: FakeClient) -> None:
        client.failing["topology"] = CollectionError(Problem("timeout", "no answer"))
        with pytest.raises(CollectionError):
            await reading(client).topology(budget())

    client = fake()
    run(check(client))
    assert (client.calls, client.retired) == (["topology", "topology"], 1)


def test_a_silent_leader_costs_its_own_partitions() -> None:
    """The others' offsets are there; which are missing, and of whom, is said."""
    client = fake()
    client.silent_leaders = {2}
    offsets, _ = run(reading(client).offsets(budget()))
    assert offsets.end.tolist() == [10, UNKNOWN, 20]
    (problem,) = offsets.problems
    assert problem.error_class == "timeout"
    assert "1 partitions of a from broker 2 (host-2:9092)" in problem.text


def test_leaders_of_whom_nothing_is_heard_are_named() -> None:
    """A request that is given up as a whole says whom it was for."""
    client = fake()
    client.hanging = {"offsets"}
    offsets, _ = virtual_time.run(reading(client).offsets(budget()))
    texts = [problem.text for problem in offsets.problems]
    assert [text.partition(" from ")[2] for text in texts] == [
        "broker 1 (host-1:9092): no answer",
        "broker 2 (host-2:9092): no answer",
    ]


# Groups


def test_a_silent_group_costs_its_own_row() -> None:
    """The others answer; the connections are given up, and the group is named."""
    client = fake()
    client.hanging = {"h"}
    groups = virtual_time.run(reading(client).groups(budget()))
    assert [group.id for group in groups.groups] == ["g"]
    assert (groups.silent, groups.listed, client.retired) == (frozenset({"h"}), 2, 1)
    (problem,) = groups.problems
    assert (problem.error_class, "h" in problem.text) == ("timeout", True)


def test_groups_that_were_silent_are_tried_few_at_a_time() -> None:
    """A hung coordinator is not asked for hundreds of groups again at the next tick."""
    client = fake()
    client.of_groups = {f"group-{n}": [] for n in range(50)}
    client.hanging = set(client.of_groups)
    memory = Memory()
    virtual_time.run(reading(client, memory).groups(budget()))
    assert client.most_under_way == 50
    client.most_under_way = 0
    virtual_time.run(reading(client, memory).groups(budget()))
    assert client.most_under_way == 4


def test_groups_that_answer_again_are_asked_as_before() -> None:
    """One tick after a coordinator is back all its groups are asked at once."""
    client = fake()
    client.of_groups = {f"group-{n}": [] for n in range(20)}
    memory = Memory(silent=frozenset(client.of_groups))
    for _ in range(2):
        client.most_under_way = 0
        groups = run(reading(client, memory).groups(budget()))
        assert len(groups.groups) == 20
    assert client.most_under_way == 20


def test_a_group_that_fails_is_reported_and_keeps_what_is_known() -> None:
    """Its state is known from the listing; its commits are not."""
    client = fake()
    client.failing["h"] = CollectionError(Problem("authorization", "grant Describe on Group h"))
    groups = run(reading(client).groups(budget()))
    assert [(g.id, g.state, g.commits is None) for g in groups.groups] == [
        ("g", "Empty", False),
        ("h", "Empty", True),
    ]
    assert [p.text for p in groups.problems] == ["grant Describe on Group h"]


@pytest.mark.parametrize(
    ("silent", "whose"), [({2: "host-2:9092"}, "broker 2 (host-2:9092)"), ({}, "a broker")]
)
def test_a_broker_that_does_not_name_its_groups_is_reported(
    silent: dict[int, str], whose: str
) -> None:
    """The groups of the others are read; how many there are is then not known."""
    client = fake()
    client.listing_errors = [timed_out()]
    client.silent = silent
    groups = run(reading(client).groups(budget()))
    assert (len(groups.groups), groups.listed) == (2, None)
    assert [(p.error_class, p.text) for p in groups.problems] == [
        ("timeout", f"fake: {whose} did not name its consumer groups: Local: Timed out")
    ]


def test_nothing_is_said_of_permissions_where_a_broker_named_no_groups() -> None:
    """An empty list has its cause then."""
    client = FakeClient(TWO_LEADERS)
    client.listing_errors = [timed_out()]
    groups = run(reading(client).groups(budget()))
    assert [p.error_class for p in groups.problems] == ["timeout"]
    assert "permitted" not in client.calls


def test_groups_are_listed_when_it_is_known_who_is_to_name_them() -> None:
    """New connections have read the metadata before: a broker that said nothing shows."""
    client = fake()
    client.knows_brokers = False
    run(reading(client).groups(budget()))
    assert client.calls.index("topology") < client.calls.index("listing")


@pytest.mark.parametrize(("operations", "problems"), [({"DESCRIBE"}, 0), (set(), 1)])
def test_no_groups_at_all_may_be_a_missing_permission(operations: set[str], problems: int) -> None:
    """Kafka shows an empty list either way: only then it is asked."""
    client = FakeClient(TWO_LEADERS)
    client.operations = frozenset(operations)
    groups = run(reading(client).groups(budget()))
    assert len(groups.problems) == problems
    assert {p.error_class for p in groups.problems} <= {"authorization"}


def test_commits_are_joined_to_their_partitions() -> None:
    """Deleted topics and partitions have no row; lag is never negative."""
    client = FakeClient(
        TWO_LEADERS, {"g": [("a", 1, 12), ("gone", 0, 1), ("b", 7, 1), ("b", 0, 5)]}, ENDS
    )

    async def check() -> tuple[list[int], list[int]]:
        tick = reading(client)
        groups = await tick.groups(budget())
        offsets, _ = await tick.offsets(budget())
        commits = commits_of(groups, TWO_LEADERS)
        return commits.row.tolist(), commits.lag(offsets).tolist()

    assert run(check()) == ([1, UNKNOWN, UNKNOWN, 2], [0, UNKNOWN, UNKNOWN, 15])


# Time


def test_a_budget_deals_out_shares_of_its_time() -> None:
    """A share is what is left until then; what comes too late has nothing left."""
    now = 100.0

    def clock() -> float:
        return now

    time: Callable[[], float] = clock
    of_ten = Budget(10.0, time)
    assert of_ten.until(0.5, "half") == pytest.approx(4.6)
    now += 4.0
    assert of_ten.until(0.5, "half") == pytest.approx(0.6)
    assert of_ten.until(1.0, "all") == pytest.approx(5.2)
    now += 1.0
    with pytest.raises(CollectionError, match="half: what came before it took all"):
        of_ten.until(0.5, "half")
