"""The table of what pages call things: one answer for every series, however a page is written."""

import random
import re
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from operators.collect.pages.dialects import (
    BROKER_COUNTERS,
    BYTES_IN,
    FLUSHES,
    IDLE,
    MESSAGES_IN,
    all_series,
)
from operators.collect.pages.parse import COLUMNS, Page, parse_page
from operators.schema.metrics import BROKER, TOPIC

NAMES = [metric.name for metric in (*BROKER.metrics, *TOPIC.metrics)]
VALUES = st.integers(0, 10**12)


def page_of(text: str) -> Page:
    page = parse_page(text, 0)
    assert page is not None
    return page


def test_whatever_a_page_reports_is_a_column() -> None:
    """None is misspelt: it would vanish without a word."""
    assert [column for column in COLUMNS if column not in NAMES] == []
    assert [column for column in BROKER_COUNTERS.values() if column not in NAMES] == []


def test_no_series_has_two_meanings_for_one_column() -> None:
    """Of two dialects' names for one thing each is told apart by its name or its labels."""
    seen: dict[tuple[str, tuple[tuple[str, str], ...], str], object] = {}
    for name, labels, meaning in all_series():
        key = (name, tuple(sorted(_present(labels).items())), meaning.key)
        assert seen.setdefault(key, meaning) is meaning, key


@pytest.mark.parametrize(
    "text",
    [
        # Agent 1.x without rules, MSK's 0.x with its comma, lower case, labels the other way round.
        'kafka_server_BrokerTopicMetrics_Count{name="MessagesInPerSec"} 7.0',
        'kafka_server_BrokerTopicMetrics_Count{name="MessagesInPerSec",} 7.0',
        'kafka_server_brokertopicmetrics_count{name="MessagesInPerSec"} 7.0 1700000000000',
        "kafka_server_brokertopicmetrics_messagesin_total 7.0",
        "kafka_server_brokertopicmetrics_total_messagesinpersec_count 7.0",
        "kafka_server_brokertopicmetrics_messagesinpersec 7",
        'kafka_server_brokertopicmetrics_messagesinpersec_total 7 # {trace_id="}"} 1.0',
        'redpanda_kafka_records_produced_total{redpanda_topic="a"} 3\n'
        'redpanda_kafka_records_produced_total{redpanda_topic="b",redpanda_namespace="kafka"} 4',
    ],
)
def test_messages_are_found_by_every_dialects_name(text: str) -> None:
    """The same counter, whoever named it."""
    assert page_of(text).counters == {MESSAGES_IN: 7.0}


def test_what_two_dialects_report_is_counted_once() -> None:
    """A page may be made by two sets of rules: nothing on it is added to itself."""
    both = """\
kafka_server_brokertopicmetrics_messagesin_total 7.0
kafka_server_brokertopicmetrics_messagesin_total{topic="a"} 5.0
kafka_server_brokertopicmetrics_bytesin_total{topic="a"} 50.0
kafka_server_brokertopicmetrics_messagesinpersec 7.0
kafka_server_brokertopicmetrics_bytesinpersec{topic="a"} 50.0
kafka_server_brokertopicmetrics_messagesinpersec_oneminuterate_alltopics 3.0
"""
    page = page_of(both)
    assert page.counters == {MESSAGES_IN: 7.0}
    assert page.topic_counters == {(BYTES_IN, "a"): 50.0}
    assert page.rates == {}


def test_rates_stand_in_for_counters_that_are_not_there() -> None:
    """Of the broker and of topics."""
    page = page_of("""\
kafka_server_brokertopicmetrics_oneminuterate{name="BytesInPerSec"} 12.5
kafka_server_brokertopicmetrics_oneminuterate{topic="a",name="BytesInPerSec"} 12.5
kafka_server_brokertopicmetrics_oneminuterate{topic="a",name="Unheard"} 1.5
""")
    assert page.rates == {(BYTES_IN, None): 12.5, (BYTES_IN, "a"): 12.5}
    assert page.counters == {}


MEAN = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent 0.9"
COUNT = "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_count_total 2.0E9"
MINUTE = "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_oneminuterate 1.0009"


@pytest.mark.parametrize(
    ("lines", "gauge", "counter"),
    [
        # 1.0009 was seen of a real broker.
        ([MEAN, COUNT, MINUTE], 100.0, None),
        # A mean since the start says little: nanoseconds of idleness say more.
        ([MEAN, COUNT], None, 200.0),
        ([MEAN], 90.0, None),
    ],
)
def test_the_idle_share_is_the_freshest_that_a_page_has(
    lines: list[str], gauge: float | None, counter: float | None
) -> None:
    """Of the last minute, else by its counter, else since the start; never more than all."""
    page = page_of("\n".join([f"{MESSAGES_IN} 1", *lines]))
    assert page.gauges.get("request.handlerIdle") == gauge
    assert page.counters.get(IDLE) == (None if counter is None else pytest.approx(counter))


def test_a_count_that_is_called_as_its_percentiles_is_apart_from_them() -> None:
    """Confluent's rules give both the MBean's own name, percentiles a label."""
    name = "kafka_log_logflushstats_logflushrateandtimems"
    page = page_of(f'{MESSAGES_IN} 1\n{name} 21.0\n{name}{{quantile="0.50"}} 1.8\n')
    assert page.counters[FLUSHES] == 21.0


def test_two_attributes_by_one_name_are_told_apart() -> None:
    """An agent 1.x gives them a label that names the MBean's attribute."""
    name = "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent"
    bean = "kafka.server<type=KafkaRequestHandlerPool, name=RequestHandlerAvgIdlePercent><>"
    page = page_of(
        f'{MESSAGES_IN} 1\n{name}{{_objectname="{bean}Count"}} 1.2E10\n'
        f'{name}{{_objectname="{bean}OneMinuteRate"}} 0.97\n'
    )
    assert page.gauges["request.handlerIdle"] == 97.0


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        (["process_cpu_seconds_total 3.5"], "process_cpu_seconds_total", 350.0),
        (
            ["process_cpu_seconds_total 3.5", "java_lang_operatingsystem_availableprocessors 2.0"],
            "process_cpu_seconds_total/processors",
            175.0,
        ),
        # A processor a shard.
        (
            [f'redpanda_cpu_busy_seconds_total{{shard="{n}"}} 8.0' for n in range(4)],
            "process_cpu_seconds_total/processors",
            800.0,
        ),
        # -1: the virtual machine does not know it.
        (
            ["java_lang_OperatingSystem_ProcessCpuLoad -1.0", "process_cpu_seconds_total 1.0"],
            "process_cpu_seconds_total",
            100.0,
        ),
    ],
)
def test_processor_time_stands_in_for_its_load(lines: list[str], name: str, value: float) -> None:
    """In percent of all processors where their number is known, of one where it is not."""
    page = page_of("\n".join([f"{MESSAGES_IN} 1", *lines]))
    assert page.counters[name] == pytest.approx(value)
    assert "broker.cpuUsage" not in page.gauges


@pytest.mark.parametrize("name", ["jvm_memory_used_bytes", "jvm_memory_bytes_used"])
def test_the_heap_is_found_by_both_names(name: str) -> None:
    """Of agents 1.x and 0.x."""
    most = name.replace("used", "max")
    page = page_of(
        f'{MESSAGES_IN} 1\n{name}{{area="heap",}} 25.0\n{name}{{area="nonheap",}} 99.0\n'
        f'{most}{{area="heap",}} 1.0E2\n'
    )
    assert page.gauges == {
        "broker.heapUsed": 25,
        "broker.heapMax": 100,
        "broker.memoryUsage": 25.0,
    }


def test_a_page_says_what_it_lacks_but_not_what_did_not_happen_yet() -> None:
    """A broker has figures of a request once it came: any request's stand for all."""
    page = page_of(f"""\
{MESSAGES_IN} 1
kafka_network_requestmetrics_totaltimems_mean{{request="Metadata"}} 1.0
""")
    assert "request.avgTimeProduceRequest" not in page.lacks
    assert "request.produceTime99Percentile" in page.lacks
    assert "topic.diskSize" in page.lacks
    assert "topic.errorRate" in page.lacks


def test_topics_of_which_nothing_is_reported_are_lacking() -> None:
    """Rules that export no series of topics though there is traffic."""
    assert "topic.bytesInPerSecond" in page_of(f"{BYTES_IN} 5").lacks
    assert "topic.bytesInPerSecond" not in page_of(f"{BYTES_IN} 0").lacks


MORE = {"more": r"a } \\ \" { b", "job": ""}
"""Labels that the table does not know, as they are written."""


def series() -> Iterator[tuple[str, Mapping[str, str]]]:
    reported = ((name, _present(labels)) for name, labels, _ in all_series())
    yield from {(name, tuple(labels.items())): (name, labels) for name, labels in reported}.values()


def _present(labels: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if value is not None}


@given(st.lists(st.sampled_from(list(series())), max_size=30), st.data())
def test_a_page_says_the_same_in_whatever_way_it_is_written(
    chosen: list[tuple[str, Mapping[str, str]]], data: st.DataObject
) -> None:
    """Order of series and labels, upper case, commas, spaces, time stamps, escapes, OpenMetrics."""
    chosen = list({name: (name, labels) for name, labels in chosen}.values())
    values = [data.draw(VALUES) for _ in chosen]
    plain = [(MESSAGES_IN, {}, 1), *((n, ls, v) for (n, ls), v in zip(chosen, values, strict=True))]
    tidy = "".join(f"{name}{_braces(labels)} {value}\n" for name, labels, value in plain)
    shuffled = data.draw(st.permutations(plain))
    chance = random.Random(data.draw(st.integers(0, 1 << 32)))
    ends = ["", " 1700000000000", ' # {trace="}"} 1.0']
    untidy = "# HELP of what\n\n" + "".join(
        f"{chance.choice([name, name.upper()])}{_braces({**labels, **MORE}, chance)}"
        f" {value}.0{chance.choice(ends)}\n"
        for name, labels, value in shuffled
    )
    assert page_of(untidy) == page_of(tidy) == page_of(tidy + "# EOF\n")


def _braces(labels: Mapping[str, str], chance: random.Random | None = None) -> str:
    pairs = [f'{key}="{value}"' for key, value in labels.items()]
    if chance is None:
        return f"{{{','.join(pairs)}}}" if pairs else ""
    chance.shuffle(pairs)
    return f"{{{','.join(pairs)}{chance.choice(['', ','])}}}"


@given(st.text(st.sampled_from('{}"\\,= \nab1'), max_size=200))
def test_series_are_read_as_the_reference_parser_reads_them(junk: str) -> None:
    """Labels with anything in them, as prometheus-client reads them, and no text takes long."""
    label = junk.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    text = f'{BYTES_IN}{{other="{label}",topic="orders"}} 5.0\n{BYTES_IN} 6.0\n'
    for parse, whole in ((prometheus, text), (openmetrics, f"{text}# EOF\n")):
        read = {
            sample.labels.get("topic"): sample.value
            for family in parse(re.sub("^kafka_server", "kafka_server", whole))
            for sample in family.samples
        }
        page = page_of(whole)
        assert {
            None: page.counters[BYTES_IN],
            "orders": page.topic_counters[BYTES_IN, "orders"],
        } == read
    parse_page(f"{BYTES_IN}{{{junk}" * 20 + f"{BYTES_IN} 1", 0)
