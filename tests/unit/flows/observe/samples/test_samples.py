"""The page of clusters: names, values, staleness, formats, and what a page asked for often costs."""

import math
import socket
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from flows.observe.samples.kafka_exporter import kafka_exporter
from flows.observe.samples.latest import Latest
from flows.observe.samples.names import LABELS, families, info
from flows.observe.samples.page import ClusterPage
from flows.observe.server import CertificateError, served
from flows.observe.settings import MetricsSettings
from operators.collect.raw.schemas import COMMITS, LAYOUT, OFFSETS
from operators.schema.arrow import entity_type_of, sample_batch
from operators.schema.metrics import (
    CLUSTER,
    CONSUMER_GROUP,
    ENTITY_TYPES,
    STRING,
    TOPIC,
    EntityType,
)
from operators.simulate.shard import Shard
from operators.ticks import Ticks
from tests import job_pictures as p
from tests.certificates import certificate, trusting
from tests.http_scrapes import get
from tests.simulated_fleets import START, spec_of

NOW = START / 1000
INTERVAL = 30.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.passed = 0.0

    def steady(self) -> float:
        return 1000.0 + self.passed

    def now(self) -> float:
        return NOW + self.passed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def latest(clock: Clock) -> Latest:
    return Latest(INTERVAL, clock.now, clock.steady)


def give(latest: Latest, batch: pa.RecordBatch) -> None:
    latest.came(batch.column("cluster_name")[0].as_py(), entity_type_of(batch).name, batch)


def topics(
    names: list[str],
    ago: float = 0.0,
    cluster: str = "c",
    *,
    columns: dict[str, Any],
    **common: Any,
) -> pa.RecordBatch:
    given: dict[str, Any] = {
        "timestamp": [round((NOW - ago) * 1000)] * len(names),
        "cluster_name": cluster,
        "origin": "collected",
        "topic": names,
    }
    return sample_batch(TOPIC, len(names), given | columns | common)


Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(page: ClusterPage, *, om: bool = False) -> Found:
    """The page as prometheus-client reads it; each series may be there once."""
    text = page.text(openmetrics=om).decode()
    parse: Callable[[str], Any] = (
        openmetrics.text_string_to_metric_families if om else text_string_to_metric_families
    )
    found: Found = {}
    for family in parse(text + ("# EOF\n" if om else "")):
        assert family.documentation
        for sample in family.samples:
            labels = frozenset((k, v) for k, v in sample.labels.items() if v)
            assert (sample.name, labels) not in found
            found[sample.name, labels] = sample.value
    return found


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def expected(batches: list[pa.RecordBatch]) -> Found:
    """What a page should have of batches of one tick, value by value."""
    found: Found = {}
    for batch in batches:
        entity: EntityType = entity_type_of(batch)
        for row in batch.to_pylist():
            labels = {"cluster": row["cluster_name"]}
            labels |= {
                LABELS[i.column]: str(row[i.column])
                for i in entity.identity
                if row[i.column] is not None
            }
            for family in families(entity):
                value = row[family.column]
                if value is not None:
                    found[key(family.name, **labels)] = (
                        value if value < 0 else value / family.divisor
                    )
            if (words := info(entity)) is not None:
                said = {label: row[column] for column, label in words.labels if row[column]}
                found[key(f"{words.name}_info", **labels, **said)] = 1
    return found


@pytest.mark.parametrize("om", [False, True], ids=["text", "openmetrics"])
@pytest.mark.parametrize("provider", ["kafka", "rabbitmq"])
def test_a_fleet_is_on_the_page_in_every_value(latest: Latest, provider: str, om: bool) -> None:
    """Each number of each sample is one series, each null none; both formats are read by others."""
    shard = Shard(spec_of(provider=provider), None)
    batches = list(shard.step(Ticks("sim", round(NOW * 1000), 30_000, 1)))
    for batch in batches:
        give(latest, batch)
    found = read(ClusterPage(latest), om=om)
    assert found == expected([batch for batch in batches if batch.num_rows])
    assert len(found) > 20


def test_names_are_by_the_conventions_and_distinct() -> None:
    """Base units, no `_total` on what is no counter, and a name for each number of the table."""
    every = [family for entity in ENTITY_TYPES for family in families(entity)]
    names = [family.name for family in every]
    assert len(set(names)) == len(names) == sum(len(e.numeric) for e in ENTITY_TYPES)
    units = {m.name: m.unit for entity in ENTITY_TYPES for m in entity.metrics}
    for family in every:
        assert family.name.islower()
        assert not family.name.endswith(("_total", "_ms", "_percent"))
        assert family.unit is None or family.name.endswith(f"_{family.unit}")
        assert (family.unit == "seconds") == (units[family.column] in ("s", "ms"))
        assert (family.unit == "bytes") == (units[family.column] == "bytes")
    assert "mq_consumer_group_lag_seconds" in names
    assert "mq_broker_io_in_bytes_per_second" in names


def test_units_become_base_units(latest: Latest) -> None:
    """Milliseconds are seconds, percents ratios; -1, which is no bound, stays."""
    give(
        latest,
        topics(
            ["a", "b"],
            columns={"topic.retentionMs": [604_800_000, -1], "topic.errorRate": [2.5, math.nan]},
        ),
    )
    found = read(ClusterPage(latest))
    assert found[key("mq_topic_retention_seconds", cluster="c", topic="a")] == 604_800
    assert found[key("mq_topic_retention_seconds", cluster="c", topic="b")] == -1
    assert found[key("mq_topic_error_rate_ratio", cluster="c", topic="a")] == 0.025
    assert key("mq_topic_error_rate_ratio", cluster="c", topic="b") not in found


@pytest.mark.parametrize("om", [False, True])
def test_names_of_entities_are_escaped(latest: Latest, om: bool) -> None:
    """Whatever a topic or cluster is called, the page stays readable and names it."""
    odd = ['quo"te', "back\\slash", "new\nline", "\\n", "é√", "a,b={}"]
    give(latest, topics(odd, columns={"topic.offset": list(range(len(odd)))}))
    found = read(ClusterPage(latest), om=om)
    for number, name in enumerate(odd):
        assert found[key("mq_topic_offset", cluster="c", topic=name)] == number


def test_the_latest_sample_of_an_entity_counts(latest: Latest) -> None:
    """The one of the latest tick, whichever came first; of one tick's the one that came last."""
    give(latest, topics(["a", "b"], columns={"topic.offset": [10, 20]}))
    give(latest, topics(["a"], ago=30, columns={"topic.offset": [7]}))
    give(latest, topics(["b"], origin="filled", columns={"topic.offset": [21]}))
    found = read(ClusterPage(latest))
    assert found[key("mq_topic_offset", cluster="c", topic="a")] == 10
    assert found[key("mq_topic_offset", cluster="c", topic="b")] == 21


def test_an_entity_that_falls_silent_leaves(latest: Latest, clock: Clock) -> None:
    """After three intervals without a sample, while the others stay."""
    page = ClusterPage(latest, steady=clock.steady)
    give(latest, topics(["gone", "stays"], columns={"topic.offset": [1, 2]}))
    gone, stays = (key("mq_topic_offset", cluster="c", topic=t) for t in ("gone", "stays"))
    clock.passed = 60
    give(latest, topics(["stays"], ago=-60, columns={"topic.offset": [3]}))
    assert read(page)[gone] == 1
    clock.passed = 91
    found = read(page)
    assert (gone in found, found[stays]) == (False, 3)
    clock.passed = 200
    assert read(page) == {}


def test_what_is_caught_up_on_is_not_shown_as_now(latest: Latest) -> None:
    """Samples of hours ago come where a job was down: they say nothing of how things stand."""
    give(latest, topics(["a"], ago=7200, columns={"topic.offset": [1]}))
    assert read(ClusterPage(latest)) == {}
    ticks = [round(NOW * 1000) - n * 30_000 for n in range(240)]
    give(latest, topics(["a"] * 240, timestamp=ticks, columns={"topic.offset": range(240)}))
    (batch,) = (batch for _, batch in latest.kept()[TOPIC.name])
    assert batch.num_rows < 20
    assert read(ClusterPage(latest))[key("mq_topic_offset", cluster="c", topic="a")] == 0


def test_origin_and_anomaly_are_labels_on_demand(latest: Latest) -> None:
    """Without them a series goes on where a fill takes over; with them it says so."""
    give(latest, topics(["a"], origin="filled", anomaly="spike", columns={"topic.offset": [5]}))
    plain = key("mq_topic_offset", cluster="c", topic="a")
    assert read(ClusterPage(latest))[plain] == 5
    reported = read(ClusterPage(latest, ["origin", "anomaly"]))
    wanted = key("mq_topic_offset", cluster="c", topic="a", origin="filled", anomaly="spike")
    assert reported[wanted] == 5
    assert plain not in reported


def test_a_metric_that_is_added_to_the_table_is_on_the_page() -> None:
    """Names come from the table alone."""
    for entity in ENTITY_TYPES:
        columns = {family.column for family in families(entity)}
        assert columns == {m.name for m in entity.metrics if m.type != STRING}
    assert info(CONSUMER_GROUP) is not None
    assert info(CLUSTER) is None


def test_a_page_is_made_once_for_many_scrapes(
    latest: Latest, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a sample came it is given again, and never made more than once a second."""
    made = 0
    kept = latest.kept

    def counted() -> Any:
        nonlocal made
        made += 1
        return kept()

    monkeypatch.setattr(latest, "kept", counted)
    page = ClusterPage(latest, steady=clock.steady)
    give(latest, topics(["a"], columns={"topic.offset": [1]}))
    for _ in range(50):
        page.text(openmetrics=False)
    assert made == 1
    clock.passed = 20
    page.text(openmetrics=False)
    assert made == 1
    give(latest, topics(["a"], ago=-20, columns={"topic.offset": [2]}))
    page.text(openmetrics=False)
    assert made == 2
    give(latest, topics(["a"], ago=-20, columns={"topic.offset": [3]}))
    page.text(openmetrics=False)
    assert made == 2
    clock.passed = 21.5
    assert b"} 3\n" in page.text(openmetrics=False)


# Served


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("om", [False, True], ids=["text", "openmetrics"])
def test_one_page_has_the_jobs_metrics_and_the_clusters(
    latest: Latest, packed: bool, om: bool
) -> None:
    """In both formats, compressed or not, as one text that a parser takes."""
    give(latest, topics(["a"], columns={"topic.offset": [1]}))
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"} if om else {}
    if packed:
        headers["Accept-Encoding"] = "gzip"
    with served(
        MetricsSettings(listen="127.0.0.1:0"), p.picture, clusters=ClusterPage(latest)
    ) as url:
        answer = get(f"{url}/metrics", headers)
        assert get(f"{url}/metrics?name[]=mq_topic_offset").text.splitlines()[2:] == [
            'mq_topic_offset{cluster="c",topic="a"} 1'
        ]
    assert (answer.headers.get("Content-Encoding") == "gzip") == packed
    assert ("openmetrics" in answer.headers["Content-Type"]) == om
    parse: Any = (
        openmetrics.text_string_to_metric_families if om else text_string_to_metric_families
    )
    names = {family.name for family in parse(answer.text)}
    assert names >= {"mqpipe_ready", "mq_topic_offset", "mq_topic" if om else "mq_topic_info"}
    assert answer.text.count("# EOF") == om


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "[::]:9464", "10.0.0.7:9464", "broker-1:9464"])
def test_an_address_of_others_needs_protection_or_a_word(listen: str) -> None:
    """The message says what to give; this machine's own addresses need nothing."""
    with pytest.raises(ValidationError, match=r"give `tls` or\s`basic_auth`, or say `open: true`"):
        MetricsSettings(listen=listen)
    MetricsSettings(listen=listen, open=True)
    MetricsSettings.model_validate({"listen": listen, "basic_auth": {"user": "u", "password": "p"}})
    MetricsSettings.model_validate({"listen": listen, "tls": {"cert": "c.pem", "key": "k.pem"}})
    for own in ("127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1"):
        MetricsSettings(listen=own)


def test_basic_auth_lets_those_in_who_know_the_password(tmp_path: Any) -> None:
    """Others learn whether it is live and ready and nothing else; the file may be renewed."""
    secret = tmp_path / "password"
    secret.write_text("first\n")
    settings = MetricsSettings.model_validate(
        {"listen": "127.0.0.1:0", "basic_auth": {"user": "prom", "password_file": secret}}
    )
    with served(settings, lambda: p.picture(silence=301.0)) as url:

        def status(path: str, password: str | None) -> int:
            return get(f"{url}{path}", user=None if password is None else ("prom", password)).status

        for path in ("/metrics", "/health", "/nowhere"):
            assert status(path, None) == 401
            assert status(path, "second") == 401
        assert status("/metrics", "first") == 200
        bare = get(f"{url}/health/ready")
        assert (bare.status, bare.text) == (503, '{\n "ok": false\n}')
        assert "stalled" in get(f"{url}/health/ready", user=("prom", "first")).text
        assert get(f"{url}/metrics", {"Authorization": "Basic ?"}).status == 401
        secret.write_text("second\n")
        assert (status("/metrics", "first"), status("/metrics", "second")) == (401, 200)
        secret.unlink()
        assert status("/metrics", "second") == 401


def test_tls_serves_the_certificate_that_the_files_hold(tmp_path: Any) -> None:
    """A renewed one without a new start; a client that says nothing holds nobody up."""
    first, second = (certificate(tmp_path / name) for name in ("first", "second"))
    settings = MetricsSettings.model_validate(
        {"listen": "127.0.0.1:0", "tls": {"cert": first.cert, "key": first.key}}
    )
    with served(settings, p.picture) as url:
        assert url is not None
        assert url.startswith("https://127.0.0.1:")
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
            assert get(f"{url}/metrics", context=trusting(first)).status == 200
        trusted = trusting(second)
        second.key.replace(first.key)
        second.cert.replace(first.cert)
        assert get(f"{url}/metrics", context=trusted).status == 200


def test_a_certificate_that_cannot_be_used_is_a_clear_error(tmp_path: Any) -> None:
    """It names the setting and the file."""
    settings = MetricsSettings.model_validate(
        {"listen": "127.0.0.1:0", "tls": {"cert": tmp_path / "no.pem", "key": tmp_path / "k.pem"}}
    )
    with (
        pytest.raises(CertificateError, match=r"metrics\.tls: cannot use .*no\.pem"),
        served(settings, p.picture),
    ):
        pass


def layout(topics: list[str], leader: int) -> pa.RecordBatch:
    """Topics of one partition each, all with one leader."""
    count = len(topics)
    columns: dict[str, Any] = {
        "topic": pa.array(topics).dictionary_encode(),
        "partition": [0] * count,
        "leader": [leader] * count,
        "preferred": [leader] * count,
        "replicas": [1] * count,
        "in_sync": [1] * count,
    }
    arrays = [pa.array(columns[f.name]).cast(f.type) for f in LAYOUT]
    return pa.RecordBatch.from_arrays(arrays, schema=LAYOUT)


def test_a_whole_ticks_measures_take_the_place_of_those_before(latest: Latest) -> None:
    """So a topic that is gone is gone; where a tick lacks something the last of it stays."""

    def leaders() -> dict[str, float]:
        page = read(ClusterPage(latest, samples=False, more=kafka_exporter))
        return {
            dict(labels)["topic"]: value
            for (name, labels), value in page.items()
            if name == "kafka_topic_partition_leader"
        }

    tick = round(NOW * 1000)
    latest.came("c", "layout", layout(["a", "b"], 1), tick, whole=True)
    latest.came("c", "layout", layout(["b", "c"], 2), tick)
    assert leaders() == {"a": 1, "b": 2, "c": 2}
    latest.came("c", "layout", layout(["c"], 3), tick, whole=True)
    assert leaders() == {"c": 3}
    assert len(latest.kept()["layout"]) == 1


def test_kafka_exporters_names_have_what_was_measured(latest: Latest) -> None:
    """Partitions' offsets, layout and commits, sums of them, and what samples have."""
    tick = round(NOW * 1000)
    names = pa.array(["t", "t"]).dictionary_encode()
    groups = pa.array(["g", "g"]).dictionary_encode()
    offsets = {"start": [1, 2], "end": [11, None], "epoch": [0, 0], "led": [True] * 2}
    for of, schema, columns in (
        ("offsets", OFFSETS, {"topic_id": names, "at": [tick] * 2, **offsets}),
        (
            "layout",
            LAYOUT,
            {"leader": [1, None], "preferred": [1, 2], "replicas": [3, 3], "in_sync": [3, 2]},
        ),
        (
            "commits",
            COMMITS,
            {
                "group": groups,
                "committed": [7, 8],
                "start": [1, 2],
                "end": [11, None],
                "led": [True, True],
                "at": [tick] * 2,
                "message_at": [None, None],
                "lag": [None, None],
            },
        ),
    ):
        given: dict[str, Any] = {"topic": names, "partition": [0, 1], **columns}
        arrays = [
            given[f.name]
            if isinstance(given.get(f.name), pa.Array)
            else pa.array(given.get(f.name, [None, None]), f.type)
            for f in schema
        ]
        latest.came("c", of, pa.RecordBatch.from_arrays(arrays, schema=schema), tick)
    give(latest, topics(["t"], columns={"topic.partitionCount": [2]}))
    for om in (False, True):
        found = read(ClusterPage(latest, samples=False, more=kafka_exporter), om=om)
        first = {"cluster": "c", "topic": "t", "partition": "0"}
        second = first | {"partition": "1"}
        group, topic = {"consumergroup": "g"}, {"cluster": "c", "topic": "t"}
        assert found == {
            key("kafka_topic_partitions", **topic): 2,
            key("kafka_topic_partition_current_offset", **first): 11,
            key("kafka_topic_partition_oldest_offset", **first): 1,
            key("kafka_topic_partition_oldest_offset", **second): 2,
            key("kafka_topic_partition_leader", **first): 1,
            key("kafka_topic_partition_replicas", **first): 3,
            key("kafka_topic_partition_replicas", **second): 3,
            key("kafka_topic_partition_in_sync_replica", **first): 3,
            key("kafka_topic_partition_in_sync_replica", **second): 2,
            key("kafka_topic_partition_leader_is_preferred", **first): 1,
            key("kafka_topic_partition_leader_is_preferred", **second): 0,
            key("kafka_topic_partition_under_replicated_partition", **first): 0,
            key("kafka_topic_partition_under_replicated_partition", **second): 1,
            key("kafka_consumergroup_current_offset", **first, **group): 7,
            key("kafka_consumergroup_current_offset", **second, **group): 8,
            key("kafka_consumergroup_current_offset_sum", **topic, **group): 15,
            key("kafka_consumergroup_lag", **first, **group): 4,
            key("kafka_consumergroup_lag_sum", **topic, **group): 4,
        }
