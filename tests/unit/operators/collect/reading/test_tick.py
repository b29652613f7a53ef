"""What a tick reads: once for all kinds, commits before end offsets, and parts that fail."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from operators.collect.budget import Budget
from operators.collect.client.kafka_client import KafkaClient
from operators.collect.client.topology import UNKNOWN
from operators.collect.cluster_collector import ClusterCollector
from operators.collect.errors import CollectionError
from operators.collect.once import Once
from operators.collect.pages.reader import PageReader
from operators.collect.pages.settings import PagesSettings
from operators.collect.reading import groups as group_state
from operators.collect.reading.tick import Reading
from operators.collect.settings import ClusterSettings, Selected, SelectionSettings
from operators.protocol.errors import RequestError
from tests import virtual_time
from tests.fake_client import FakeClient

T = TypeVar("T")

TWO_LEADERS = {"a": [(1, [1], [1]), (2, [2], [2])], "b": [(1, [1], [1])]}
ENDS = {"a": 10, "b": 20}
COMMITS = {"g": [("a", 0, 4), ("a", 1, 10)], "h": [("b", 0, 1)]}


def fake(commits: Any = COMMITS) -> FakeClient:
    return FakeClient([1, 2], TWO_LEADERS, commits, ENDS)


def reading(client: Any) -> Reading:
    everything = Selected(SelectionSettings())
    pages = PageReader("fake", PagesSettings())
    return Reading(KafkaClient("fake", client), pages, everything, everything)


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
    # Two brokers list their groups; one coordinates all; two lead, start and end offsets each.
    assert sorted(client.calls) == sorted(
        ["Metadata", *["ListGroups"] * 2, "OffsetFetch", *["ListOffsets"] * 4]
    )


def test_all_groups_of_a_coordinator_are_asked_for_at_once() -> None:
    """One request a coordinator, of those that it coordinates."""
    client = fake()
    client.coordinators = {"h": 2}
    run(reading(client).groups(budget()))
    asked = [
        (broker, [group.group_id for group in request.groups])
        for name, broker, request in client.asked
        if name == "OffsetFetch"
    ]
    assert sorted(asked) == [(1, ["g"]), (2, ["h"])]


def test_many_groups_are_asked_for_in_bounded_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is of more groups than are bounded for."""
    monkeypatch.setattr(group_state, "A_REQUEST", 2)
    client = fake({f"group-{n}": [("a", 0, n)] for n in range(5)})
    groups = run(reading(client).groups(budget()))
    assert client.calls.count("OffsetFetch") == 3
    assert groups.positions.committed.tolist() == [0, 1, 2, 3, 4]


def test_brokers_that_know_no_such_request_are_asked_group_by_group() -> None:
    """Below Kafka 3.0 OffsetFetch is of one group, and ListGroups reports no type."""
    client = fake()
    client.versions_of = {"OffsetFetch": 7, "ListGroups": 4, "ListOffsets": 6}
    groups = run(reading(client).groups(budget()))
    assert client.calls.count("OffsetFetch") == 2
    assert [(group.id, group.type) for group in groups.groups] == [("g", None), ("h", None)]
    assert groups.positions.committed.tolist() == [4, 10, 1]


def test_metadata_that_does_not_change_is_the_same_object() -> None:
    """What is made of it need not be made again."""

    async def check(client: FakeClient) -> None:
        of_client = KafkaClient("fake", client)  # type: ignore[arg-type]
        first, second = await of_client.topology(1.0), await of_client.topology(1.0)
        assert first is second
        client.topics["c"] = [(1, [1], [1])]
        assert (await of_client.topology(1.0)).topics == ("a", "b", "c")

    run(check(fake()))


def test_commits_are_read_before_end_offsets() -> None:
    """Whoever asks for offsets first waits for the commits."""
    client = fake()
    run(reading(client).offsets(budget()))
    assert client.calls.index("ListOffsets") > client.calls.index("OffsetFetch")


def test_groups_asked_anew_have_end_offsets_asked_anew() -> None:
    """A retry's commits are newer than the offsets that others have read meanwhile."""

    async def check(client: FakeClient) -> None:
        tick = reading(client)
        client.failing["ListGroups"] = RequestError("unavailable", "loading")
        await tick.offsets(budget())
        client.failing.clear()
        before = client.calls.count("ListOffsets")
        # As the kind `groups` asks.
        await asyncio.gather(tick.commits(budget()), tick.offsets(budget()))
        assert client.calls.count("ListOffsets") == 2 * before

    run(check(fake()))


def test_without_groups_offsets_are_read_all_the_same() -> None:
    """A coordinator's trouble costs the groups, not the topics."""

    async def check(client: FakeClient) -> list[int]:
        client.failing["ListGroups"] = RequestError("timeout", "no answer")
        ends: list[int] = (await reading(client).offsets(budget())).end.tolist()
        return ends

    assert run(check(fake())) == [10, 10, 20]


def test_without_metadata_each_kind_fails_and_a_retry_asks_anew() -> None:
    """The failure is each one's own; the next attempt has another chance."""

    async def check(client: FakeClient) -> None:
        tick = reading(client)
        client.failing["Metadata"] = RequestError("auth", "wrong password")
        failed = await asyncio.gather(
            tick.topology(budget()), tick.offsets(budget()), return_exceptions=True
        )
        assert [getattr(error, "error_class", None) for error in failed] == ["auth", "auth"]
        client.failing.clear()
        assert (await tick.topology(budget())).topics == ("a", "b")

    run(check(fake()))


def test_a_silent_leader_costs_its_own_partitions() -> None:
    """The others' offsets are there; which are missing, and of whom, is said."""
    client = fake()
    client.hanging = {("ListOffsets", 2)}
    offsets = virtual_time.run(reading(client).offsets(budget()))
    assert offsets.end.tolist() == [10, UNKNOWN, 20]
    (problem,) = offsets.problems
    assert problem.error_class == "timeout"
    assert "offsets of 1 partitions of a from broker 2 (host-2:9092)" in problem.text


def test_leaders_of_whom_nothing_is_heard_are_named() -> None:
    """A request that is given up as a whole says whom it was for."""
    client = fake()
    client.hanging = {"ListOffsets"}
    offsets = virtual_time.run(reading(client).offsets(budget()))
    texts = [problem.text for problem in offsets.problems]
    assert [text.partition(" from ")[2].partition(":9092)")[0] for text in texts] == [
        "broker 1 (host-1",
        "broker 2 (host-2",
    ]


# Groups


def test_a_silent_coordinator_costs_its_own_groups() -> None:
    """The others answer; which are missing, and why, is named."""
    client = fake()
    client.coordinators = {"h": 2}
    client.hanging = {("OffsetFetch", 2)}
    groups = virtual_time.run(reading(client).groups(budget()))
    assert [group.id for group in groups.groups] == ["g"]
    assert groups.listed == 2
    (problem,) = groups.problems
    assert problem.error_class == "timeout"
    assert "the coordinator of 1 groups (h) did not report their offsets: " in problem.text


def test_a_group_that_fails_is_reported_and_keeps_what_is_known() -> None:
    """Its state is known from the listing; its commits are not."""
    client = fake()
    client.group_errors["h"] = 30
    groups = run(reading(client).groups(budget()))
    assert [(group.id, group.state) for group in groups.groups] == [("g", "Empty"), ("h", "Empty")]
    assert set(groups.positions.group.tolist()) == {0}
    (problem,) = groups.problems
    assert problem.error_class == "authorization"
    assert problem.text.endswith("grant Describe on Group h")


def test_a_group_without_a_name_is_no_error() -> None:
    """The admin API lets one commit for it, and brokers do not report what."""
    client = fake({"": [], "g": [("a", 0, 4)]})
    client.group_errors[""] = 24
    groups = run(reading(client).groups(budget()))
    assert ([group.id for group in groups.groups], groups.problems) == (["", "g"], ())


def test_a_broker_that_does_not_name_its_groups_is_reported() -> None:
    """The groups of the others are read; how many there are is then not known."""
    client = fake()
    client.hanging = {("ListGroups", 2)}
    groups = virtual_time.run(reading(client).groups(budget()))
    assert (len(groups.groups), groups.listed) == (2, None)
    (problem,) = groups.problems
    assert problem.error_class == "timeout"
    assert "fake: broker 2 (host-2:9092) did not name its consumer groups: " in problem.text


def test_a_broker_that_hangs_does_not_hold_up_the_groups_of_others() -> None:
    """They are asked for while its time still runs."""
    client = fake()
    client.hanging = {("ListGroups", 2)}

    async def check() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        task = asyncio.create_task(reading(client).groups(budget()))
        while "OffsetFetch" not in client.calls:
            await asyncio.sleep(0.001)
        assert loop.time() - begun < 1
        await task

    virtual_time.run(check())


def test_a_group_that_moves_is_taken_from_the_broker_that_answers_for_it() -> None:
    """Two brokers may name it meanwhile; one of them no longer coordinates it."""

    class Moving(FakeClient):
        def _ListGroups(self, asked: Any, broker: int, answer: Any) -> dict[str, Any]:  # noqa: N802
            return super()._ListGroups(asked, 1, answer)

        def _OffsetFetch(self, asked: Any, broker: int, answer: Any) -> dict[str, Any]:  # noqa: N802
            self.group_errors = {"g": 16} if broker == 1 else {"h": 16}
            return super()._OffsetFetch(asked, broker, answer)

    groups = run(reading(Moving([1, 2], TWO_LEADERS, COMMITS, ENDS)).groups(budget()))
    assert ([g.id for g in groups.groups], groups.listed, groups.problems) == (["g", "h"], 2, ())
    assert groups.positions.committed.tolist() == [4, 10, 1]


@pytest.mark.parametrize("code", [14, 15])
def test_where_no_broker_names_its_groups_there_are_none_to_report(code: int) -> None:
    """As while all of them load their groups; it passes."""
    client = fake()
    client.listing_error = {1: code, 2: code}
    with pytest.raises(CollectionError) as failed:
        run(reading(client).groups(budget()))
    assert (failed.value.error_class, failed.value.retryable) == ("unavailable", True)


def test_nothing_is_said_of_permissions_where_a_broker_named_no_groups() -> None:
    """An empty list has its cause then."""
    client = fake({})
    client.hanging = {("ListGroups", 2)}
    groups = virtual_time.run(reading(client).groups(budget()))
    assert [p.error_class for p in groups.problems] == ["timeout"]
    assert "DescribeCluster" not in client.calls


@pytest.mark.parametrize(("operations", "problems"), [({8}, 0), (set(), 1)])
def test_no_groups_at_all_may_be_a_missing_permission(operations: set[int], problems: int) -> None:
    """Kafka shows an empty list either way: only then it is asked."""
    client = fake({})
    client.operations = operations
    groups = run(reading(client).groups(budget()))
    assert len(groups.problems) == problems
    assert {p.error_class for p in groups.problems} <= {"authorization"}


def test_commits_are_joined_to_their_partitions() -> None:
    """Deleted topics and partitions have no row; lag is never negative."""
    client = fake({"g": [("a", 1, 12), ("gone", 0, 1), ("b", 7, 1), ("b", 0, 5)]})

    async def check() -> tuple[list[int], list[int]]:
        tick = reading(client)
        commits, offsets = await tick.commits(budget()), await tick.offsets(budget())
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


def test_a_tick_before_those_that_are_kept_is_read_too() -> None:
    """Where the clock was set back: what is kept goes by the order of coming."""

    async def check() -> list[bool]:
        collector = ClusterCollector(
            ClusterSettings.model_validate({"name": "fake", "bootstrap_servers": "127.0.0.1:9"})
        )
        first = [collector._reading(tick) for tick in (9_000, 10_000, 1_000, 2_000, 3_000)]
        again = [collector._reading(tick) for tick in (2_000, 3_000)]
        await collector.close()
        return [first[-2] is again[0], first[-1] is again[1]]

    assert run(check()) == [True, True]
