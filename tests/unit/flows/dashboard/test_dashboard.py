"""The New Relic dashboard and alert conditions: nothing in them that no sample has."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from flows.config import Config
from flows.dashboard.alerts import as_input, conditions
from flows.dashboard.command import COLUMNS, as_dashboard, dashboard
from flows.dashboard.nrql import Query, UnknownAttributeError
from flows.dashboard.pages import pages
from flows.errors import UsageError
from flows.loading import parse
from operators.schema.metrics import BROKER, CLUSTER, COLLECTION, ENTITY_TYPES
from sinks.newrelic.encode import event_attributes

KEYWORDS = frozenset(
    {"SELECT", "FROM", "WHERE", "AND", "AS", "FACET", "LIMIT", "MAX", "TIMESERIES", "AUTO", "IN"}
    | {"IS", "NOT", "NULL", "minute"}
)


def boards() -> dict[str, Any]:
    """The dashboard as New Relic gets it."""
    made: dict[str, Any] = json.loads(json.dumps(as_dashboard(pages(), 42)))
    return made


def queries() -> Iterator[str]:
    """Every query of the dashboard, its variables and the alert conditions."""
    made = boards()
    for page in made["pages"]:
        for widget in page["widgets"]:
            yield from (q["query"] for q in widget["rawConfiguration"].get("nrqlQueries", ()))
    yield from (variable["nrqlQuery"]["query"] for variable in made["variables"])
    yield from (as_input(condition, 30)["nrql"]["query"] for condition in conditions())


def attributes_in(query: str) -> tuple[list[str], set[str]]:
    """The event types of a query, and what it names in them, read from its text."""
    text = re.sub(r"'[^']*'|\{\{\w+\}\}", " ", query)
    source = re.search(r"FROM ((?:\w+(?:, )?)+)", text)
    assert source
    event_types = source[1].split(", ")
    rest = text.replace(source[0], " ")
    words = re.findall(r"[A-Za-z_][\w.]*(?!\w*\()", re.sub(r"\b\w+\(", "(", rest))
    aliases = re.findall(r"AS (\w+)", rest)
    return event_types, set(words) - KEYWORDS - set(aliases)


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_every_attribute_is_one_of_the_table(query: str) -> None:
    """What a query names, each of its event types has."""
    event_types, attributes = attributes_in(query)
    for event_type in event_types:
        known = {
            attribute
            for entity_type in ENTITY_TYPES
            if event_type in entity_type.event_types
            for attribute in event_attributes(entity_type)
        }
        assert known, event_type
        assert attributes <= known


def test_reading_a_query_finds_what_is_not_there() -> None:
    """The test above can fail: it sees a metric that does not exist wherever it stands."""
    for place in (
        "SELECT max(no.such) FROM A WHERE x = 'y'",
        "SELECT count(*) FROM A WHERE no.such > 1",
        "SELECT count(*) FROM A FACET clusterName, no.such TIMESERIES AUTO",
        "SELECT percentage(count(*), WHERE no.such = 1) AS 'share' FROM A",
    ):
        assert "no.such" in attributes_in(place)[1]


def test_every_metric_of_the_table_is_on_the_dashboard() -> None:
    """A metric that is added to the table is shown without a change of the dashboard."""
    shown = set().union(*(attributes_in(query)[1] for query in queries()))
    missing = {
        metric.name
        for entity_type in ENTITY_TYPES
        for metric in entity_type.metrics
        if metric.name not in shown and not metric.name.startswith("consumer.")
    }
    assert missing == set()


def test_a_query_of_an_unknown_attribute_is_refused() -> None:
    """A renamed metric is an error here, not an empty chart there."""
    with pytest.raises(UnknownAttributeError, match=r"`broker.cpu` in KafkaBrokerSample"):
        str(Query("max(broker.cpu)", (BROKER,), ("broker.cpu",)))


def test_pages_are_those_that_were_promised_with_golden_metrics_first() -> None:
    """Clusters, brokers, topics, groups, queues, nodes, the simulation and mqpipe; numbers lead."""
    made = boards()
    names = [page["name"] for page in made["pages"]]
    assert names == [
        "Clusters", "Brokers", "Topics", "Consumer groups", "Queues", "Nodes", "Simulation", "mqpipe",
    ]  # fmt: skip
    for page in made["pages"][:6]:
        first = [w["visualization"]["id"] for w in page["widgets"][:6]]
        assert first == ["viz.billboard"] * 6


def test_widgets_fill_the_grid_without_overlap() -> None:
    """No two widgets of a page share a cell, and none is wider than the page."""
    for page in boards()["pages"]:
        cells = [
            (column, row)
            for widget in page["widgets"]
            for layout in [widget["layout"]]
            for column in range(layout["column"], layout["column"] + layout["width"])
            for row in range(layout["row"], layout["row"] + layout["height"])
        ]
        assert len(cells) == len(set(cells))
        assert max(column for column, _ in cells) <= COLUMNS


def test_variables_filter_every_chart() -> None:
    """Cluster and environment are chosen once, for all charts."""
    made = boards()
    assert [v["name"] for v in made["variables"]] == ["cluster", "environment"]
    charts = [
        q["query"]
        for page in made["pages"]
        for widget in page["widgets"]
        for q in widget["rawConfiguration"].get("nrqlQueries", ())
    ]
    assert charts
    assert all("{{cluster}}" in q and "{{environment}}" in q for q in charts)


def test_total_is_of_the_latest_of_each_entity() -> None:
    """A number over many entities adds theirs up; of percentages and times it is the worst."""
    numbers = {
        widget["title"]: widget["rawConfiguration"]["nrqlQueries"][0]["query"]
        for widget in boards()["pages"][1]["widgets"][:6]
    }
    assert numbers["Messages in per second"].startswith("SELECT sum(value) AS 'messages/s' FROM (")
    worst = numbers["Produce time 99 percentile, the worst"]
    assert worst.startswith("SELECT max(value) AS 'ms' FROM (")
    assert all("FACET entityGuid LIMIT MAX)" in query for query in numbers.values())


def test_brokers_that_a_config_knows_of_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A condition for each cluster of known size; its name is quoted in the query."""
    text = (
        'account_id: 1\nsimulation: {fleets: [{name: "o\'neil", brokers: 4}, '
        "{name: mq, provider: sqs}]}\n"
    )
    dashboard(parse(Config, text, "c.yaml"), alerts=True)
    made = {c["name"]: c for c in json.loads(capsys.readouterr().out)}
    known = made["Broker down: o'neil"]
    assert r"clusterName = 'o\'neil'" in known["nrql"]["query"]
    [term] = known["terms"]
    assert (term["operator"], term["threshold"]) == ("BELOW", 4)
    assert "Broker down: mq" not in made


@pytest.mark.parametrize("interval", [0.5, 30.0, 60.0, 90.0, 3600.0])
def test_alert_windows_hold_a_sample_and_fit_each_other(interval: float) -> None:
    """A window is at least an interval; durations are multiples of it, within limits."""
    for condition in conditions():
        made = as_input(condition, interval)
        window = made["signal"]["aggregationWindow"]
        assert max(30, interval) <= window <= 21_600
        for term in made["terms"]:
            assert term["thresholdDuration"] % window == 0
            assert 60 <= term["thresholdDuration"] <= 86_400
        assert made["terms"] or made["expiration"]["openViolationOnExpiration"]
        if "expiration" in made:
            assert 3 * interval <= made["expiration"]["expirationDuration"] <= 172_800


def test_alerts_are_on_lag_replicas_brokers_and_silence_and_never_on_fills() -> None:
    """Filled samples are not measured: they neither open nor close an incident."""
    made = {condition.name: str(condition.query) for condition in conditions()}
    assert {
        "Consumer lag", "May lose data within 1 h", "Messages lost unread", "Under-replicated partitions", "Broker down", "No data",
    } <= made.keys()  # fmt: skip
    for query in made.values():
        assert "origin != 'filled'" in query or COLLECTION.event_type in query
        assert "{{" not in query


def test_groups_and_partitions_are_told_apart_in_their_shared_events() -> None:
    """Both are KafkaOffsetSample; a query of one names its entity type."""
    shared = [q for q in queries() if re.search(r"FROM KafkaOffsetSample (?!,)", q)]
    assert shared
    assert all("entityType = 'MESSAGE_QUEUE_" in q for q in shared)
    assert "entityType" not in str(Query("count(*)", (CLUSTER,)))


def test_groups_are_summed_without_their_rows_by_topic() -> None:
    """Each lag counts once, in the dashboard and in alerts."""
    of_groups = [q for q in queries() if "'MESSAGE_QUEUE_CONSUMER_GROUP'" in q]
    assert len(of_groups) > 10
    assert all("AND topic IS NULL" in q for q in of_groups)
    assert all("topic IS NULL" not in q for q in queries() if q not in of_groups)


def test_config_that_sends_no_events_is_refused() -> None:
    """The queries would find nothing; the message says which key to change."""
    text = (
        "account_id: 1\nsimulation: {fleets: [{name: a}]}\n"
        "sinks: {newrelic: {license_key: x, shape: metrics}}\n"
    )
    with pytest.raises(UsageError, match=r"sinks\.newrelic\.shape"):
        dashboard(parse(Config, text, "c.yaml"), alerts=False)
