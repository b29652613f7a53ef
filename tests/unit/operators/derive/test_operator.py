"""Columns that compare ticks: rates, trends, lag in seconds."""

import pickle
from collections.abc import Callable, Iterable
from dataclasses import replace

import pyarrow as pa
import pytest

from operators.collect.pages.dialects import (
    BYTES_IN,
    ELECTIONS,
    FAILED_FETCHES,
    FAILED_PRODUCES,
    FETCHES,
    IDLE,
    LATENCIES,
    LATENCY_SUM,
    PRODUCES,
    REQUESTS,
)
from operators.collect.pages.parse import Page
from operators.collect.reading.configs import TopicConfig
from operators.collect.reading.limits import Limits
from operators.derive.history import thinned_moments
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.derive.store import thawed
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    GROUP_TOPIC,
    PARTITION_OFFSET,
    TOPIC,
)
from operators.ticks import Outcome, TickResult
from tests.tick_results import brokers, column, groups, ms, page, topics

IN, OUT = "topic.messagesInPerSecond", "topic.messagesOutPerSecond"
BYTES = "topic.bytesInPerSecond"
CONSUMED = "consumerGroup.messagesConsumedPerSecond"
LAG_SECONDS, LAG_METHOD = "consumerGroup.lagSeconds", "consumerGroup.lagMethod"


def derived(results: Iterable[TickResult]) -> list[TickResult]:
    """The results, the state pickled and restored between each and the next."""
    cluster = ClusterDerivation("prod", KAFKA_RULES)
    found = []
    for result in results:
        found.append(cluster.derive(result))
        cluster = ClusterDerivation(
            "prod", KAFKA_RULES, pickle.loads(pickle.dumps(cluster.snapshot()))
        )
    return found


# Topics


def test_messages_in_are_the_growth_of_end_offsets() -> None:
    """The first tick has no rate; the second has the growth a second, and the cluster its sum."""
    first, second = derived(
        [topics(0, {"a": [100, 50], "b": [7]}), topics(1, {"a": [150, 60], "b": [7]})]
    )
    assert column(first, TOPIC, IN) == {"a": None, "b": None}
    assert column(second, TOPIC, IN) == {"a": 6.0, "b": 0.0}
    assert column(second, CLUSTER, "cluster.messagesInPerSecond") == {"": 6.0}


def test_raw_measures_end_with_the_derivation() -> None:
    """What is no column does not travel on."""
    assert [dict(r.raw) for r in derived([topics(0, {"a": [1]})])] == [{}]


def test_a_recreated_topic_has_no_rate_for_one_tick() -> None:
    """Another id starts over, even where the offsets have grown."""
    results = [
        topics(n, {"a": [100 * (n + 1)]}, ids={"a": "old" if n < 2 else "new"}) for n in range(4)
    ]
    assert [column(r, TOPIC, IN)["a"] for r in derived(results)] == [None, 10.0, None, 10.0]


def test_a_topic_whose_id_is_not_reported_goes_on() -> None:
    """A leader that is silent for a tick takes neither the others' rates nor its topic's past."""
    silent = topics(1, {"a": [150], "b": [None]}, ids={"a": "id of a"}, partial=True)
    results = [
        topics(0, {"a": [100], "b": [50]}),
        silent,
        topics(2, {"a": [200], "b": [90]}, ids={"a": "id of a"}),
        topics(3, {"a": [250], "b": [110]}),
    ]
    rates = [column(result, TOPIC, IN) for result in derived(results)]
    assert rates[1:] == [{"a": 5.0, "b": None}, {"a": 5.0, "b": 2.0}, {"a": 5.0, "b": 2.0}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"end": 100}, {"end": 99}),
        ({"end": 100, "start": 50}, {"end": 120, "start": 0}),
        ({"end": 100, "epoch": 3}, {"end": 120, "epoch": 0}),
    ],
)
def test_what_went_back_begins_anew(before: dict[str, int], after: dict[str, int]) -> None:
    """A lower end, start or leader epoch: no rate, and never a negative one."""
    results = [
        topics(n, {"a": [m["end"]]}, start=m.get("start", 0), epoch=m.get("epoch", 0), ids={})
        for n, m in enumerate((before, after))
    ]
    assert column(derived(results)[-1], TOPIC, IN) == {"a": None}


def test_a_topic_that_grew_in_partitions_begins_anew() -> None:
    """A partition that was not there before cannot be compared."""
    results = [topics(0, {"a": [10]}), topics(1, {"a": [20, 5]}), topics(2, {"a": [30, 15]})]
    assert [column(r, TOPIC, IN)["a"] for r in derived(results)] == [None, None, 2.0]


def test_a_partition_without_a_leader_counts_nothing() -> None:
    """Nobody can write to it; when it is back its growth is spread over the time it was away."""
    gone = frozenset({("a", 1)})
    results = [
        topics(0, {"a": [10, 10]}),
        topics(1, {"a": [20, None]}, leaderless=gone),
        topics(2, {"a": [30, 50]}),
    ]
    assert [column(r, TOPIC, IN)["a"] for r in derived(results)] == [None, 1.0, 3.0]


def test_a_leader_that_did_not_answer_makes_the_rate_null() -> None:
    """A part of a rate is not the rate; the next tick compares with the last answer."""
    results = [
        topics(0, {"a": [10, 10]}),
        topics(1, {"a": [20, None]}, partial=True),
        topics(2, {"a": [30, 50]}),
    ]
    assert [column(r, TOPIC, IN)["a"] for r in derived(results)] == [None, None, 3.0]


def test_readings_too_far_apart_are_not_compared() -> None:
    """After six intervals without a reading a topic starts over."""
    results = [topics(0, {"a": [10]}), topics(5, {"a": [20]}), topics(11, {"a": [30]})]
    assert [column(r, TOPIC, IN)["a"] for r in derived(results)] == [None, 0.2, None]


def test_a_clock_set_back_begins_rates_anew() -> None:
    """A tick that is a little earlier is late; from one long before the last rates go on."""
    results = [
        topics(20, {"a": [10]}),
        topics(19, {"a": [15]}),
        topics(3, {"a": [20]}),
        topics(4, {"a": [50]}),
    ]
    assert [column(r, TOPIC, IN)["a"] for r in derived(results)] == [None, None, None, 3.0]


def test_messages_out_are_the_growth_of_commits() -> None:
    """Summed over groups; a group that was reset counts nothing; none compared is null."""
    ends = {"a": [100], "b": [100]}
    results = [
        topics(0, ends, commits={"g": {"a": [10]}, "h": {"a": [50]}}),
        topics(1, ends, commits={"g": {"a": [30]}, "h": {"a": [0]}}),
    ]
    assert column(derived(results)[-1], TOPIC, OUT) == {"a": 2.0, "b": None}


def test_bytes_and_errors_come_from_the_pages_of_all_brokers() -> None:
    """Growth over all brokers; a topic that no page names had no traffic."""
    of_broker = dict.fromkeys((PRODUCES, FETCHES, FAILED_PRODUCES, FAILED_FETCHES), 0.0)
    before = {1: page(0, of_broker, {(BYTES_IN, "a"): 100, (PRODUCES, "a"): 10})}
    after = {
        1: page(
            1,
            of_broker,
            {(BYTES_IN, "a"): 600, (PRODUCES, "a"): 30, (FAILED_PRODUCES, "a"): 5},
        )
    }
    ends = {"a": [1], "b": [1]}
    found = derived([topics(0, ends, pages=before), topics(1, ends, pages=after)])[-1]
    assert column(found, TOPIC, BYTES) == {"a": 50.0, "b": 0.0}
    assert column(found, TOPIC, "topic.errorRate") == {"a": 25.0, "b": 0.0}
    assert column(found, CLUSTER, "cluster.bytesInPerSecond") == {"": 50.0}


def test_pages_that_report_no_topic_leave_bytes_and_errors_null() -> None:
    """Rules without the label, though the brokers have traffic: topics' is not known, and not 0."""
    busy = {BYTES_IN: 100.0, PRODUCES: 10.0, FETCHES: 10.0, FAILED_PRODUCES: 1.0}
    pages = [{1: page(n, {name: n * value for name, value in busy.items()})} for n in range(2)]
    found = derived([topics(n, {"a": [1]}, pages=p) for n, p in enumerate(pages)])[-1]
    assert column(found, TOPIC, BYTES) == {"a": None}
    assert column(found, TOPIC, "topic.errorRate") == {"a": None}


def test_topics_of_idle_brokers_have_no_traffic() -> None:
    """Brokers make a topic's counters at its first traffic: without any there is none."""
    pages = [{1: page(n, {BYTES_IN: 100.0})} for n in range(2)]
    found = derived([topics(n, {"a": [1]}, pages=p) for n, p in enumerate(pages)])[-1]
    assert column(found, TOPIC, BYTES) == {"a": 0.0}


def test_rates_of_a_page_without_counters_are_taken_as_they_are() -> None:
    """Of brokers at the first tick already; of topics once all pages have come twice."""
    reported = {(BYTES_IN, None): 50.0, (BYTES_IN, "a"): 40.0}
    pages = [{1: replace(page(n), rates=reported)} for n in range(2)]
    rate = "broker.IOInPerSecond"
    of_brokers = derived(brokers(n, p) for n, p in enumerate(pages))
    assert [column(r, BROKER, rate)["broker-1"] for r in of_brokers] == [50.0, 50.0]
    found = derived([topics(n, {"a": [1], "b": [1]}, pages=p) for n, p in enumerate(pages)])[-1]
    assert column(found, TOPIC, BYTES) == {"a": 40.0, "b": 0.0}
    assert column(found, CLUSTER, "cluster.bytesInPerSecond") == {"": 40.0}


def test_a_missing_page_makes_bytes_null_and_not_wrong() -> None:
    """Null without the page; when it is back, the growth since the last one that came."""
    pages = [{1: page(0, {}, {(BYTES_IN, "a"): 100})}, {}, {1: page(2, {}, {(BYTES_IN, "a"): 300})}]
    results = [topics(n, {"a": [1]}, pages=p, partial=n == 1) for n, p in enumerate(pages)]
    assert [column(r, TOPIC, BYTES)["a"] for r in derived(results)] == [None, None, 10.0]


def test_a_restarted_brokers_topics_have_no_bytes_for_one_tick() -> None:
    """The broker's own counters went back: its topics' cannot be compared either."""
    counters = [(500.0, 100.0), (600.0, 200.0), (10.0, 5.0), (20.0, 15.0)]
    results = [
        topics(n, {"a": [1]}, pages={1: page(n, {BYTES_IN: own}, {(BYTES_IN, "a"): of_topic})})
        for n, (own, of_topic) in enumerate(counters)
    ]
    assert [column(r, TOPIC, BYTES)["a"] for r in derived(results)] == [None, 10.0, None, 1.0]


# Brokers


def test_brokers_counters_become_rates() -> None:
    """Growth over the time between the two pages, not between the ticks."""
    results = [
        brokers(0, {1: page(0, {BYTES_IN: 1000})}),
        brokers(1, {1: page(1.5, {BYTES_IN: 4000})}),
    ]
    assert column(derived(results)[-1], BROKER, "broker.IOInPerSecond") == {"broker-1": 200.0}


def test_a_restarted_broker_has_no_rates_for_one_tick() -> None:
    """One counter went back: all of the broker's start over."""
    pages = [{BYTES_IN: 1000, FETCHES: 5}, {BYTES_IN: 10, FETCHES: 9}, {BYTES_IN: 20, FETCHES: 19}]
    results = [brokers(n, {1: page(n, counters)}) for n, counters in enumerate(pages)]
    found = [column(r, BROKER, "broker.IOInPerSecond")["broker-1"] for r in derived(results)]
    assert found == [None, None, 1.0]


def test_an_idle_share_by_counters_is_no_more_than_all() -> None:
    """1.0009 of a second was seen: of the handlers' own clocks and of ours."""
    pages = [{1: page(n, {IDLE: 1000.9 * n})} for n in range(2)]
    found = derived(brokers(n, p) for n, p in enumerate(pages))
    idle = [column(r, BROKER, "request.handlerIdle")["broker-1"] for r in found]
    assert idle == [None, 100.0]


def test_request_times_by_histograms_are_of_the_requests_between_two_pages() -> None:
    """Mean by sum and count; the percentile as Prometheus interpolates it; null without any."""

    def latencies(requests: int, seconds: float, **buckets: int) -> dict[str, float]:
        bounds = {
            f"{LATENCIES}Produce/{bound}": float(count)
            for bound, count in zip(("0.01", "0.1", "+Inf"), buckets.values(), strict=True)
        }
        return {f"{REQUESTS}Produce": requests, f"{LATENCY_SUM}Produce": seconds, **bounds}

    pages = [
        latencies(1000, 1.0, fast=1000, slow=1000, all_=1000),
        latencies(1100, 3.0, fast=1090, slow=1100, all_=1100),
        latencies(1100, 3.0, fast=1090, slow=1100, all_=1100),
        latencies(1200, 9.0, fast=1090, slow=1190, all_=1200),
    ]
    found = derived(brokers(n, {1: page(n, counters)}) for n, counters in enumerate(pages))
    means, percentiles = (
        [column(result, BROKER, name)["broker-1"] for result in found]
        for name in ("request.avgTimeProduceRequest", "request.produceTime99Percentile")
    )
    assert means == [None, pytest.approx(20), None, pytest.approx(60)]
    # 9 of the 10 in the second bucket are faster; of the last the second bound is what is known.
    assert percentiles == [None, pytest.approx(91), None, pytest.approx(100)]


def test_elections_are_the_growth_of_leader_epochs() -> None:
    """Of all topics; one that is new, or was recreated, has had none."""
    ids = {"a": "1", "b": "2", "c": "3"}
    results = [
        brokers(0, {}, epochs={"a": [0, 4], "b": [9]}, ids=ids),
        brokers(1, {}, epochs={"a": [2, 5], "b": [9]}, ids=ids),
        brokers(2, {}, epochs={"a": [2, 5], "b": [0], "c": [7]}, ids={**ids, "b": "4"}),
        brokers(3, {}, epochs={"a": [2, 5], "b": [1], "c": [7]}, ids={**ids, "b": "4"}),
    ]
    rates = [column(r, CLUSTER, "cluster.leaderElectionsPerSecond")[""] for r in derived(results)]
    assert rates == [None, 0.3, 0.0, 0.1]


def test_brokers_that_count_no_elections_have_the_clusters_at_their_controller() -> None:
    """Others have 0; where no page says who controls none is known; what pages count stays."""
    name = "replication.leaderElectionPerSecond"
    roles = {1: 0, 2: 1}
    pages = [
        {
            b: replace(page(n, {BYTES_IN: 1.0}), gauges={"broker.isController": role})
            for b, role in roles.items()
        }
        for n in range(2)
    ]
    live, epochs = [1, 2], [{"a": [n]} for n in range(2)]

    def of_second(pages: list[dict[int, Page]]) -> dict[str, float | None]:
        ticks = (brokers(n, p, live, epochs[n]) for n, p in enumerate(pages))
        return column(derived(ticks)[-1], BROKER, name)

    assert of_second(pages) == {"broker-1": 0.0, "broker-2": 0.1}
    assert of_second([{}, {}]) == {"broker-1": None, "broker-2": None}
    counted = [{1: page(n, {ELECTIONS: 5.0 * n}), 2: page(n, {})} for n in range(2)]
    assert of_second(counted) == {"broker-1": 0.5, "broker-2": None}


def test_the_state_of_a_build_without_leader_epochs_is_taken_up() -> None:
    """Rates of pages go on; elections begin with the second reading."""
    counters = [{1: page(n, {BYTES_IN: 100.0 * n})} for n in range(3)]
    first, *others = (brokers(n, p, epochs={"a": [n]}) for n, p in enumerate(counters))
    cluster = ClusterDerivation("prod", KAFKA_RULES)
    cluster.derive(first)
    version, name, kinds = cluster.snapshot()
    tick, raw = kinds["brokers"]
    older = {kind: data for kind, data in raw.items() if kind != "epochs"}
    cluster = ClusterDerivation("prod", KAFKA_RULES, (version, name, {"brokers": (tick, older)}))
    second, third = (cluster.derive(result) for result in others)
    assert column(second, BROKER, "broker.IOInPerSecond") == {"broker-1": 10.0}
    rates = [column(r, CLUSTER, "cluster.leaderElectionsPerSecond")[""] for r in (second, third)]
    assert rates == [None, 0.1]


def test_the_clusters_error_rate_is_over_all_brokers() -> None:
    """Failed produce and fetch requests as a share of all, in percent."""
    before = dict.fromkeys((PRODUCES, FETCHES, FAILED_PRODUCES, FAILED_FETCHES), 0.0)
    one = {**before, PRODUCES: 60.0, FAILED_PRODUCES: 3.0}
    two = {**before, FETCHES: 40.0, FAILED_FETCHES: 2.0}
    live = [1, 2]
    results = [
        brokers(0, {1: page(0, before), 2: page(0, before)}, live),
        brokers(1, {1: page(1, one), 2: page(1, two)}, live),
    ]
    assert column(derived(results)[-1], CLUSTER, "cluster.errorRate") == {"": 5.0}


# Groups


def test_consumption_and_lag_trend() -> None:
    """Growth of commits and of the total lag, a second."""
    results = [
        groups(0, {"a": [100, 100]}, {"g": {"a": [10, 20]}}),
        groups(1, {"a": [200, 100]}, {"g": {"a": [40, 30]}}),
    ]
    found = derived(results)[-1]
    assert column(found, CONSUMER_GROUP, CONSUMED) == {"g": 4.0}
    assert column(found, CONSUMER_GROUP, "consumerGroup.lagTrend") == {"g": 6.0}


def test_a_group_that_was_reset_begins_anew() -> None:
    """One commit that went back makes the tick's consumption null."""
    results = [
        groups(n, {"a": [100, 100]}, {"g": {"a": c}})
        for n, c in enumerate(([50, 5], [10, 15], [20, 25]))
    ]
    assert [column(r, CONSUMER_GROUP, CONSUMED)["g"] for r in derived(results)] == [None, None, 2.0]


def test_membership_changes_count_joins_and_leaves() -> None:
    """By comparing member ids: a group of the same size may have changed."""
    members = [["a", "b"], ["a", "c"], ["a", "c"], []]
    results = [
        groups(n, {"t": [1]}, {"g": {"t": [1]}}, members={"g": m}) for n, m in enumerate(members)
    ]
    name = "consumerGroup.membershipChanges"
    found = [column(r, CONSUMER_GROUP, name)["g"] for r in derived(results)]
    assert found == [None, 2, 0, 2]


def test_lag_in_seconds_by_the_brokers_timestamps() -> None:
    """The age of the oldest partition's first message; 0 where nothing waits, without a method."""
    (found,) = derived(
        [
            groups(
                1,
                {"a": [100, 100]},
                {"g": {"a": [90, 40]}, "done": {"a": [100, 100]}},
                written={("a", 90): ms(1) - 2_000, ("a", 40): ms(1) - 30_000},
                partition_offsets=True,
            )
        ]
    )
    assert column(found, CONSUMER_GROUP, LAG_SECONDS) == {"g": 30.0, "done": 0.0}
    assert column(found, CONSUMER_GROUP, LAG_METHOD) == {"g": "timestamps", "done": None}
    assert column(found, PARTITION_OFFSET, "consumer.lagSeconds") == {
        "g/a/0": 2.0,
        "g/a/1": 30.0,
        "done/a/0": 0.0,
        "done/a/1": 0.0,
    }


def test_lag_in_seconds_by_history_where_brokers_do_not_report() -> None:
    """Interpolated between the moments at which the end offset was seen around the commit."""
    results = [
        groups(n, {"a": [100 * n]}, {"g": {"a": [c]}}) for n, c in enumerate((0, 50, 150, 150))
    ]
    # Tracked from the first tick with an unknown age on: from tick 1.
    found = derived(results)
    assert [column(r, CONSUMER_GROUP, LAG_SECONDS)["g"] for r in found] == [0.0, None, None, 15.0]
    assert column(found[-1], CONSUMER_GROUP, LAG_METHOD) == {"g": "history"}


def test_lag_in_seconds_is_null_where_the_message_was_retained_away() -> None:
    """A commit before the log's start: the message's age is nobody's lag."""
    (found,) = derived(
        [groups(0, {"a": [100]}, {"g": {"a": [10]}}, start=50, written={("a", 10): ms(0) - 5_000})]
    )
    assert column(found, CONSUMER_GROUP, LAG_SECONDS) == {"g": None}
    assert column(found, CONSUMER_GROUP, LAG_METHOD) == {"g": None}


def test_history_of_a_recreated_topic_is_dropped() -> None:
    """An end offset that went back: what was seen of the old topic says nothing of the new."""
    ends = [100, 200, 50, 80]
    commits = [90, 90, 20, 40]
    results = [
        groups(n, {"a": [e]}, {"g": {"a": [c]}})
        for n, (e, c) in enumerate(zip(ends, commits, strict=True))
    ]
    assert column(derived(results)[-1], CONSUMER_GROUP, LAG_SECONDS) == {"g": None}


def test_moments_are_kept_the_sparser_the_older() -> None:
    """A day of ticks every 30 s leaves a few dozen moments, the newest and the oldest too."""
    kept: list[int] = []
    for tick in range(2_880):
        kept = thinned_moments([*kept, tick * 30_000])
    assert len(kept) <= 50
    assert kept[0] == 0
    assert kept[-2:] == [2_878 * 30_000, 2_879 * 30_000]


# What is kept


def sizes(results: Iterable[TickResult]) -> list[dict[str, list[int]]]:
    """After each result, by name of what is kept: its rows, and the names in its dictionaries."""
    cluster = ClusterDerivation("prod", KAFKA_RULES)
    found = []
    for result in results:
        cluster.derive(result)
        _, _, kinds = cluster.snapshot()
        (_, state) = kinds[str(result.tick.kind)]
        found.append(
            {
                name: [batch.num_rows]
                + [len(c.dictionary) for c in batch.columns if pa.types.is_dictionary(c.type)]
                for name, batch in thawed(state, KAFKA_RULES[str(result.tick.kind)].schemas).items()
            }
        )
    return found


@pytest.mark.parametrize(
    "tick",
    [
        lambda n: groups(
            n,
            {f"t{n}": [5]},
            {f"g{n}": {f"t{n}": [1]}},
            members={f"g{n}": ["m"]},
            partial=True,
        ),
        lambda n: topics(
            n,
            {f"t{n}": [5]},
            commits={f"g{n}": {f"t{n}": [1]}},
            pages={1: page(n, {BYTES_IN: n}, {(BYTES_IN, f"t{n}"): 1})} if n % 2 else {},
            partial=True,
        ),
    ],
)
def test_what_is_deleted_goes_where_every_tick_lacks_something(
    tick: Callable[[int], TickResult],
) -> None:
    """Topics and groups that come and go leave nothing behind but what may be compared."""
    found = sizes(tick(n) for n in range(40))
    assert found[20] == found[38]


# Results that pass


def test_a_failed_tick_passes_and_leaves_the_state() -> None:
    """The tick after it compares with the one before."""
    failed = replace(topics(1, {"a": [1]}), batches=(), raw={}, outcome=Outcome.FAILED)
    results = [topics(0, {"a": [10]}), failed, topics(2, {"a": [30]})]
    found = derived(results)
    assert found[1] == failed
    assert column(found[2], TOPIC, IN) == {"a": 1.0}


def test_a_tick_that_comes_after_a_later_one_has_no_rates() -> None:
    """A late result passes, and the state stays that of the later tick."""
    results = [
        topics(0, {"a": [10]}),
        topics(2, {"a": [30]}),
        topics(1, {"a": [20]}),
        topics(3, {"a": [40]}),
    ]
    assert [column(r, TOPIC, IN)["a"] for r in derived(results)] == [None, 1.0, None, 1.0]


def test_a_group_that_did_not_answer_once_goes_on() -> None:
    """A partial tick keeps what was known of those that are missing."""
    ends = {"a": [1000]}
    results = [
        groups(0, ends, {"g": {"a": [10]}, "h": {"a": [10]}}),
        groups(1, ends, {"g": {"a": [20]}}, partial=True),
        groups(2, ends, {"g": {"a": [30]}, "h": {"a": [30]}}),
        groups(3, ends, {"g": {"a": [40]}}),
        groups(4, ends, {"g": {"a": [50]}, "h": {"a": [50]}}),
    ]
    found = [column(r, CONSUMER_GROUP, CONSUMED) for r in derived(results)]
    assert found[2] == {"g": 1.0, "h": 1.0}
    assert found[4] == {"g": 1.0, "h": None}


def test_messages_that_were_removed_unread_count_once() -> None:
    """Of a lag of 80 there are 50; 30 were lost when the log's start passed the commit, and not again."""
    starts = (0, 50, 50, 50)
    committed = (20, 20, 20, 60)
    results = [
        groups(n, {"t": [100]}, {"g": {"t": [commit]}}, start=start, group_topics=10)
        for n, (start, commit) in enumerate(zip(starts, committed, strict=True))
    ]
    reported = [
        tuple(
            column(result, CONSUMER_GROUP, f"consumerGroup.{name}")["g"]
            for name in ("totalLag", "unreadMessages", "lostMessages", "lagState")
        )
        for result in derived(results)
    ]
    assert reported[0][:3] == (80, 80, None)
    assert reported[1:3] == [(80, 50, 30, "losing"), (80, 50, 0, "losing")]
    assert reported[3][:3] == (40, 40, 0)


def test_the_margin_is_the_same_over_restarts() -> None:
    """Rates are smoothed over what was before: the state has them."""
    limits = Limits({"t": TopicConfig(1, 3_600_000, -1, "delete")})
    results = [
        groups(
            n,
            {"t": [10_000 + 100 * n]},
            {"g": {"t": [4_000 + 40 * n]}},
            written={("t", 4_000 + 40 * n): ms(n) - 600_000},
            group_topics=10,
            limits=limits,
        )
        for n in range(6)
    ]
    never_ended = ClusterDerivation("prod", KAFKA_RULES)
    whole, again = [never_ended.derive(result) for result in results], derived(results)
    for entity_type, name in ((CONSUMER_GROUP, "g"), (GROUP_TOPIC, "g/t")):
        for column_ in ("marginSeconds", "catchUpSeconds", "lagState"):
            said = [column(r, entity_type, f"consumerGroup.{column_}")[name] for r in whole]
            assert said == [column(r, entity_type, f"consumerGroup.{column_}")[name] for r in again]
    margin = column(whole[-1], CONSUMER_GROUP, "consumerGroup.marginSeconds")["g"]
    # 4 messages/s are read of 6,300 in 600 s.
    assert margin == pytest.approx(3_000 / (1 - 4 / (6_300 / 600)), rel=0.01)
