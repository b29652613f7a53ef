"""When messages were written, narrowed down by asking for offsets at times."""

from bisect import bisect_left
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from operators.collect.client.kafka_client import MAX_TIMESTAMP
from operators.collect.reading.timeline import Timeline, near, question

NOW = 1_000_000_000


class Log:
    """A partition's messages; answers as a broker does."""

    def __init__(self, times: list[int]) -> None:
        self.times = times

    def ask(self, asked: int) -> tuple[int, int]:
        if asked == MAX_TIMESTAMP:
            # Of several with the greatest time a broker names the first.
            first = self.times.index(self.times[-1])
            return first, self.times[-1]
        offset = bisect_left(self.times, asked)
        if offset == len(self.times):
            return -1, -1
        return offset, self.times[offset]


def look(timeline: Timeline, log: Log, offset: int, rounds: int) -> int:
    """Ask as a tick does; how many questions it took."""
    count = 0
    if timeline.when(offset, NOW) is None:
        for asked in (0, MAX_TIMESTAMP):
            timeline.learn(asked, *log.ask(asked))
            count += 1
    for round_ in range(rounds):
        between = timeline.when(offset, NOW)
        assert between is not None
        asked_next = question(between, NOW, round_)
        if asked_next is None:
            break
        timeline.learn(asked_next, *log.ask(asked_next))
        count += 1
    return count


gaps = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=60)


@given(gaps, st.data())
def test_the_true_time_is_always_between(steps: list[int], data: st.DataObject) -> None:
    """Whatever the traffic, a message was written between the two times that are reported."""
    times = list(accumulate(steps, initial=1_000))
    log = Log(times)
    timeline = Timeline()
    timeline.seen(len(times), "id")
    for _ in range(3):
        offset = data.draw(st.integers(0, len(times) - 1))
        look(timeline, log, offset, rounds=3)
        between = timeline.when(offset, NOW)
        assert between is not None
        assert between.since <= times[offset] <= between.until
        assert between.since <= between.likely <= between.until
        timeline.forget_before(offset - 2)


@given(gaps, st.data())
def test_asking_on_finds_the_time(steps: list[int], data: st.DataObject) -> None:
    """After enough rounds the time is near enough."""
    times = list(accumulate(steps, initial=1_000))
    offset = data.draw(st.integers(0, len(times) - 1))
    timeline = Timeline()
    timeline.seen(len(times), "id")
    look(timeline, Log(times), offset, rounds=60)
    between = timeline.when(offset, NOW)
    assert between is not None
    assert abs(between.likely - times[offset]) <= near(between.likely, NOW)


def test_steady_traffic_takes_few_questions() -> None:
    """At a steady rate a message is found in three rounds, to a second."""
    times = list(range(NOW - 3_600_000, NOW, 20))
    timeline = Timeline()
    timeline.seen(len(times), "id")
    offset = len(times) - 1_000
    assert look(timeline, Log(times), offset, rounds=3) <= 5
    between = timeline.when(offset, NOW)
    assert between is not None
    assert abs(between.likely - times[offset]) <= 1_000


def test_an_idle_partitions_stuck_message_keeps_its_time() -> None:
    """Where nothing was written since, the age grows with the clock and nothing is asked again."""
    log = Log([1_000, 2_000, 3_000])
    timeline = Timeline()
    timeline.seen(3, "id")
    look(timeline, log, 1, rounds=60)
    assert look(timeline, log, 1, rounds=3) == 0
    between = timeline.when(1, NOW)
    assert between is not None
    assert abs(between.likely - 2_000) <= near(2_000, NOW)


def test_messages_of_one_time_are_known_at_once() -> None:
    """The greatest time is a bound for all messages: no question is needed beyond the first two."""
    log = Log([5_000] * 10)
    timeline = Timeline()
    timeline.seen(10, "id")
    assert look(timeline, log, 4, rounds=3) == 2
    between = timeline.when(4, NOW)
    assert between is not None
    assert (between.likely, between.gap) == (5_000, 0)


def test_a_recreated_topic_forgets_the_old_times() -> None:
    """Another id, or an end that went back, starts over."""
    timeline = Timeline()
    timeline.seen(10, "old")
    timeline.learn(0, 0, 1_000)
    timeline.seen(12, "new")
    assert timeline.when(0, NOW) is None
    timeline.learn(0, 0, 5_000)
    timeline.seen(3, "new")
    assert timeline.when(0, NOW) is None


def test_nothing_is_known_before_the_first_point() -> None:
    """A message before all that is known has no time."""
    timeline = Timeline()
    timeline.seen(10, None)
    timeline.learn(500, 5, 1_000)
    assert timeline.when(4, NOW) is None
