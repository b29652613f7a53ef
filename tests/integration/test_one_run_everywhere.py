"""One hybrid run of three real brokers and a fleet: what every sink got is the same.

Parquet is what the others are held against, by conversions computed from the metric table: New
Relic's events and points, OTLP's points, and the Prometheus page. Samples are collected, simulated
(some of them shaped by an anomaly) and filled.
"""

import json
import math
import re
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from flows.observe.samples.names import LABELS
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import (
    BROKER_TOPIC,
    CONSUMER_GROUP,
    ENTITY_TYPES,
    EVENTS_ALONE,
    GROUP_CLIENT,
    GROUP_TOPIC,
    STRING,
    TOPIC,
    EntityType,
)
from tests.http_scrapes import get
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import commit, create_topic, member, produce
from tests.mqpipe import start, stop
from tests.newrelic.conversions import expected_events, expected_points, said
from tests.newrelic.conversions import reported as reported_points
from tests.newrelic.published import NEEDS, attributes_of, entity_of, unmet
from tests.newrelic.stand_in import StandIn
from tests.otlp.conversions import batches_below, expected, reported
from tests.otlp.stand_in import Receiver
from tests.ports import PortClaim

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

INTERVAL = 3_000
LAG = "kafka.consumer_group.lag"
DERIVED = ("mq_broker_messages_in_per_second", "mq_topic_bytes_in_per_second")
"""What takes two pages of brokers, and of all brokers."""
GONE = 77
"""A broker that is expected and does not exist."""

_SERIES = re.compile(r"(?P<name>mq_\w+)\{(?P<labels>.*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Run:
    """What became of one run, by where it went."""

    batches: list[pa.RecordBatch]
    events: list[dict[str, Any]]
    points: list[dict[str, Any]]
    otlp: Counter[tuple[Any, ...]]
    page: str
    brokers: Mapping[int, str]


def config(folder: Path, kafka: KafkaCluster, newrelic: StandIn, otlp: Receiver, port: int) -> str:
    """Writes the configuration, in which New Relic has its default shape; gives the page's URL."""
    start = datetime.now(UTC) - timedelta(minutes=1)
    anomaly = {
        "kind": "spike",
        "entity": "sim/orders",
        "start": start.isoformat(),
        "duration": "10m",
    }
    fleet = {"name": "sim", "topics": [{"name": "orders"}, {"name": "audit"}], "groups": 2}
    given = {
        "mode": "hybrid",
        "interval": f"{INTERVAL}ms",
        "account_id": 7,
        "fill": {"grace": "2500ms"},
        "clusters": [
            {
                "name": "real",
                "bootstrap_servers": kafka.bootstrap_servers,
                "broker_metrics": dict(kafka.metrics_urls),
                "expect": {"brokers": [1, 2, 3, GONE]},
            }
        ],
        "simulation": {"fleets": [fleet], "anomalies": [anomaly]},
        "sinks": {
            "parquet": {"path": "samples"},
            "newrelic": {"license_key": newrelic.license_key, "endpoint": newrelic.endpoint},
            "otlp": {"endpoint": otlp.endpoint},
        },
        "recovery": {"path": "state", "epoch": "500ms"},
        "metrics": {"listen": f"127.0.0.1:{port}", "samples": True},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(given))
    return f"http://127.0.0.1:{port}/metrics"


def traffic(kafka: KafkaCluster) -> str:
    """A topic that one group reads, and another has stopped reading."""
    topic = create_topic(kafka, 3, 3)
    produce(kafka, topic, [50, 50, 50])
    commit(kafka, topic, f"idle-{topic}", [10, 20, 30])
    commit(kafka, topic, f"live-{topic}", [40, 50, 50])
    return topic


def whole_page(url: str, process: subprocess.Popen[str]) -> str:
    """The page, once the real cluster's derived samples are on it."""
    text, until = "", time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            text = get(url).text
        except OSError:
            continue
        if all(f'{name}{{cluster="real",' in text for name in DERIVED):
            return text
    raise AssertionError(f"the page never had all:\n{text}")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, kafka3: KafkaCluster) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("everywhere")
    topic = traffic(kafka3)
    with (
        StandIn() as newrelic,
        Receiver() as receiver,
        PortClaim() as claim,
        member(kafka3, f"live-{topic}", topic),
    ):
        url = config(folder, kafka3, newrelic, receiver, claim.port)
        process = start(folder, "run", "c.yaml", "--no-live", "--log-level", "warning")
        try:
            page = whole_page(url, process)
            produce(kafka3, topic, [5, 5, 5])
        finally:
            ended = stop(process)
        assert ended.code == 0, ended.err[-4000:]
        assert newrelic.dropped == []
        yield Run(
            batches_below(folder / "samples"),
            newrelic.events,
            newrelic.metrics,
            Counter(reported(receiver.points)),
            page,
            kafka3.metrics_urls,
        )


def only_lag(run: Run) -> list[dict[str, Any]]:
    """The points of groups' lag by partition, which no rows stand for."""
    return [point for point in run.points if point["name"] == LAG]


def test_the_run_has_samples_of_every_origin(run: Run) -> None:
    """Else the others would hold of less than they say."""
    assert {o for b in run.batches for o in b.column("origin").to_pylist()} == {
        "collected",
        "simulated",
        "filled",
    }
    assert any(b.column("anomaly").null_count < b.num_rows for b in run.batches)


def alone(run: Run, entity_type: EntityType) -> list[dict[str, Any]]:
    """The events of a type of which nobody else has rows."""
    return [event for event in run.events if event["entityType"] == entity_type.name]


def test_events_are_the_rows(run: Run) -> None:
    """Each row one event, with every value that is there; besides, what is events alone."""
    wanted = Counter(event for batch in run.batches for event in expected_events(batch))
    names = {entity_type.name for entity_type in EVENTS_ALONE}
    rows = [event for event in run.events if event["entityType"] not in names]
    assert Counter(map(said, rows)) == wanted


def rows_of(run: Run, entity_type: EntityType) -> list[dict[str, Any]]:
    """All rows of a type."""
    return [r for b in run.batches if entity_type_of(b) is entity_type for r in b.to_pylist()]


def test_bytes_by_broker_sum_to_the_rows_of_topics(run: Run) -> None:
    """Of collected and simulated clusters: at every tick at which the topic's are known."""
    name = "broker.bytesWrittenToTopicPerSecond"
    sums: Counter[tuple[Any, ...]] = Counter()
    for event in alone(run, BROKER_TOPIC):
        assert event["entityName"] == f"broker:{event['displayName']}"
        if name in event:
            sums[event["clusterName"], event["topic"], event["timestamp"]] += event[name]
    compared = set()
    for row in rows_of(run, TOPIC):
        key = row["cluster_name"], row["topic"], round(row["timestamp"].timestamp() * 1000)
        value = row["topic.bytesInPerSecond"]
        if value is not None and row["origin"] != "filled" and key in sums:
            assert sums[key] == pytest.approx(value, abs=1e-6), key
            compared.add(row["cluster_name"])
    assert compared == {"real", "sim"}


def test_lag_by_client_sums_to_the_rows_of_groups(run: Run) -> None:
    """Of groups whose members have all partitions that they have committed on."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for event in alone(run, GROUP_CLIENT):
        key = event["clusterName"], event["consumerGroup"], event["timestamp"]
        sums[key] += event["consumer.totalLag"]
        assert event["clientID"] == event["displayName"]
    compared = set()
    for row in rows_of(run, CONSUMER_GROUP):
        key = (
            row["cluster_name"],
            row["consumer_group"],
            round(row["timestamp"].timestamp() * 1000),
        )
        if key in sums:
            assert sums[key] == row["consumerGroup.totalLag"], key
            compared.add(row["cluster_name"])
    assert compared == {"real", "sim"}


def test_points_are_the_rows(run: Run) -> None:
    """Each value that OpenTelemetry has a name for one point; besides, lag by partition alone."""
    wanted = Counter(p for batch in run.batches for p in expected_points(batch, INTERVAL))
    rows = [point for point in run.points if point["name"] != LAG]
    assert Counter(reported_points(rows)) == wanted


def test_lag_by_partition_sums_to_the_rows_of_groups_on_topics(run: Run) -> None:
    """Of collected and simulated clusters, at every tick."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for point in only_lag(run):
        a = point["attributes"]
        sums[a["clusterName"], a["group"], a["topic"], point["timestamp"]] += point["value"]
    rows = [r for b in run.batches if entity_type_of(b) is GROUP_TOPIC for r in b.to_pylist()]
    wanted = {
        (
            row["cluster_name"],
            row["consumer_group"],
            row["topic"],
            round(row["timestamp"].timestamp() * 1000),
        ): row["consumerGroup.totalLag"]
        for row in rows
    }
    assert {cluster for cluster, *_ in wanted} == {"real", "sim"}
    assert dict(sums) == wanted


def test_otlp_has_the_rows(run: Run) -> None:
    """Each value one point, words too, and nothing else."""
    assert run.otlp == Counter(p for batch in run.batches for p in expected(batch, INTERVAL))


def by_entity(entity_type: EntityType, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What labels say of a row's entity."""
    own = [(LABELS.get(i.column, i.column), row[i.column]) for i in entity_type.identity]
    said = [("cluster", row["cluster_name"]), *own]
    return entity_type.label, *((name, str(v)) for name, v in said if v is not None)


def shown(page: str) -> dict[tuple[Any, ...], Counter[float]]:
    """The numbers of each entity on the page: how often each is there, rounded as floats are."""
    found: dict[tuple[Any, ...], Counter[float]] = defaultdict(Counter)
    labels_of = sorted((t.label for t in ENTITY_TYPES), key=len, reverse=True)
    for series in _SERIES.finditer(page):
        name = series["name"].removeprefix("mq_")
        kind = next(label for label in labels_of if name.startswith(f"{label}_"))
        if name != f"{kind}_info":
            labels = _LABEL.findall(series["labels"])
            found[kind, *((key, json.loads(f'"{v}"', strict=False)) for key, v in labels)][
                significant(float(series["value"]))
            ] += 1
    return found


def significant(value: float) -> float:
    """Twelve digits: what a division changes in the last of them is no difference."""
    return float(f"{value:.12g}")


BASE_UNITS = {"ms": 1000.0, "%": 100.0, "0-100": 100.0}
"""What makes one of the base unit, of the units of the table that are no base units."""


def test_the_page_is_one_of_each_entitys_rows(run: Run) -> None:
    """Every number of that row in its base unit, and no other: seconds, and ratios of 0 to 1."""
    rows: dict[tuple[Any, ...], list[Counter[float]]] = defaultdict(list)
    for batch in run.batches:
        entity_type = entity_type_of(batch)
        for row in batch.to_pylist():
            numbers: Counter[float] = Counter()
            for metric in entity_type.metrics:
                value = row[metric.name]
                if metric.type != STRING and value is not None and math.isfinite(value):
                    # What is negative stands for something else, and stays.
                    factor = BASE_UNITS.get(metric.unit, 1.0) if value >= 0 else 1.0
                    numbers[significant(value / factor)] += 1
            rows[by_entity(entity_type, row)].append(numbers)
    page = shown(run.page)
    assert {kind for kind, *_ in page} >= {"cluster", "broker", "topic", "consumer_group"}
    for entity, numbers in page.items():
        assert numbers in rows[entity], entity
    silent = {entity for entity in rows if entity not in page}
    assert not [entity for entity in silent if any(any(n) for n in rows[entity])], "all are shown"


@pytest.mark.parametrize("kind", NEEDS)
def test_a_real_clusters_published_needs_are_met(run: Run, kind: str) -> None:
    """By its brokers' pages and the protocol alone: every widget and golden metric has points."""
    points = [attributes_of(p) for p in run.points if p["attributes"]["clusterName"] == "real"]
    assert all(point["origin"] in ("collected", "filled") for point in points)
    assert unmet((p for p in points if p["origin"] == "collected"), kind) == []


def test_entities_are_made_of_the_real_cluster(run: Run) -> None:
    """One cluster and its brokers, of which every point bears the id of the cluster."""
    points = [attributes_of(p) for p in run.points if p["attributes"]["clusterName"] == "real"]
    made = {entity for point in points if (entity := entity_of(point)) is not None}
    brokers = {name for kind, name, *_ in made if kind == "KAFKABROKER"}
    assert brokers == {str(broker) for broker in (*run.brokers, GONE)}
    assert ("KAFKACLUSTER", "real") in made
    collected = [point for point in points if point["origin"] == "collected"]
    assert len({point["kafka.cluster.id"] for point in collected}) == 1
