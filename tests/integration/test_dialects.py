"""What each usual set of rules lets a broker's page report, and the table of it in the docs.

`MQPIPE_WRITE_DOCS=1 pytest tests/integration/test_dialects.py` writes the table.
"""

import os
import shutil
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from operators.collect.pages.parse import COLUMNS, Page, parse_page
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, CLUSTER, TOPIC
from operators.ticks import TickResult
from tests.documents import ROOT
from tests.kafka.cluster import JMX_EXPORTER_CONFIG, KafkaCluster
from tests.kafka.jars import old_agent_jar
from tests.kafka.topics import consume
from tests.kafka.workload import create_topic, produce
from tests.mqpipe import mqpipe
from tests.pages import MSK, REDPANDA
from tests.tick_results import brokers, ms, topics

RULES = Path(__file__).parents[1] / "kafka" / "rules"
DOCS = ROOT / "docs" / "broker-pages.md"
BEGIN, END = "<!-- columns: tests/integration/test_dialects.py -->\n", "<!-- end of columns -->\n"

NO_RULES, EXAMPLES = "agent without rules", "examples of jmx_exporter"

DIALECTS: Mapping[str, tuple[Path, str]] = {
    "`docker/jmx-exporter.yml`": (JMX_EXPORTER_CONFIG, EXAMPLES),
    "no rules": (RULES / "none.yml", NO_RULES),
    "`.*`": (RULES / "any.yml", NO_RULES),
    "jmx_exporter's examples": (RULES / "examples.yml", EXAMPLES),
    "Strimzi": (RULES / "strimzi.yml", EXAMPLES),
    "Bitnami": (RULES / "bitnami.yml", "Bitnami"),
    "Confluent": (RULES / "confluent.yml", "Confluent"),
}
"""By what the docs call them: rules, and whose names their pages show."""

WRITTEN = {"Amazon MSK": (MSK, NO_RULES), "Redpanda": (REDPANDA, "Redpanda")}

OTHERS = [*"ABCDEGHIJLORSTUVW", "Fi", "FetchS", "Pu"]
"""How the names of requests begin that no column is of: Produce, Metadata and other Fetch… are left."""
LESS = ", ".join(f'"kafka.network:type=RequestMetrics,request={name}*,*"' for name in OTHERS)
"""Beans that pages by many rules leave out: each rule is tried on each of their thousands of attributes."""

OF_PAGES = {
    *COLUMNS,
    "broker.memoryUsage",
    "topic.bytesInPerSecond",
    "topic.bytesOutPerSecond",
    "cluster.errorRate",
    "topic.errorRate",
}
"""All columns that pages give, the last of them by several metrics together."""

Given = Mapping[str, frozenset[str]]
"""By dialect: the columns that its page gives."""


def given_by(before: Page, after: Page) -> frozenset[str]:
    """The columns that two pages of a broker give at the second tick, by the derivation itself."""
    pages = [{1: replace(page, at=ms(n))} for n, page in enumerate((before, after))]
    ends = {"orders": [1]}
    results: Iterable[Iterable[TickResult]] = (
        (brokers(n, page) for n, page in enumerate(pages)),
        (topics(n, ends, pages=page) for n, page in enumerate(pages)),
    )
    found = set()
    for of_kind in results:
        cluster = ClusterDerivation("prod", KAFKA_RULES)
        *_, last = (cluster.derive(result) for result in of_kind)
        for batch in last.batches:
            if entity_type_of(batch) in (BROKER, TOPIC, CLUSTER):
                found |= {name for name in batch.schema.names if batch.column(name).null_count == 0}
    return frozenset(found & OF_PAGES)


def twice(page: Page) -> Page:
    """The page after as much again."""
    return replace(
        page,
        counters={name: 2 * value for name, value in page.counters.items()},
        topic_counters={key: 2 * value for key, value in page.topic_counters.items()},
    )


def fetched(url: str, accept: str) -> Page:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as response:
        page = parse_page(response.read().decode(), 0)
    assert page is not None
    return page


class Ruled:
    """A broker whose agent takes one set of rules after the other."""

    def __init__(self, kafka: KafkaCluster, rules: Path) -> None:
        self.kafka = kafka
        self._rules = rules
        self._written = round(time.time()) + 60

    def take(self, file: Path) -> None:
        """The next page is by these rules."""
        text = file.read_text()
        many = text.count("pattern:") > 1 and file != JMX_EXPORTER_CONFIG
        self._rules.write_text(f"{text}excludeObjectNames: [{LESS}]\n" if many else text)
        self._written += 1  # an agent reads its rules again when they are newer
        os.utime(self._rules, (self._written, self._written))


@contextmanager
def ruled(folder: Path, agent: Path | None = None) -> Iterator[Ruled]:
    """A broker with an agent of the Prometheus JMX exporter, today's where none is given."""
    rules = folder / "rules.yml"
    shutil.copy(JMX_EXPORTER_CONFIG, rules)
    with KafkaCluster(1, rules=rules, agent=agent) as kafka:
        yield Ruled(kafka, rules)


@pytest.fixture(scope="module")
def by_rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruled]:
    """A broker with today's agent."""
    with ruled(tmp_path_factory.mktemp("rules")) as broker:
        yield broker


def pages_of_a_real_broker(broker: Ruled) -> Iterator[tuple[str, Page, Page]]:
    """Dialect, a page as text and a later one in OpenMetrics, with traffic between them."""
    kafka = broker.kafka
    create_topic(kafka, 2, name="orders")
    for dialect, (file, _) in DIALECTS.items():
        broker.take(file)
        pages = []
        for accept in ("text/plain", "application/openmetrics-text"):
            produce(kafka, "orders", [5, 5])
            consume(kafka.bootstrap_servers, "orders")
            pages.append(fetched(kafka.metrics_urls[1], accept))
        yield dialect, pages[0], pages[1]


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_dialects_page_gives_every_column_that_its_names_can_give(
    by_rules: Ruled, tmp_path: Path
) -> None:
    """By agents 1.x and 0.x on a real broker, in text and OpenMetrics; the docs say the same."""
    given: dict[str, frozenset[str]] = {}

    def read(broker: Ruled) -> None:
        for dialect, before, after in pages_of_a_real_broker(broker):
            assert (before.dialect, after.dialect) == (DIALECTS[dialect][1],) * 2, dialect
            found = given_by(before, after)
            assert OF_PAGES - found == OF_PAGES & set(after.lacks), dialect
            assert before.lacks == after.lacks, dialect
            # The agents differ in how they write, not in what they report.
            assert given.setdefault(dialect, found) == found, dialect

    read(by_rules)
    with ruled(tmp_path, old_agent_jar()) as broker:
        read(broker)
    for dialect, (file, names) in WRITTEN.items():
        page = parse_page(file.read_text(), 0)
        assert page is not None
        assert page.dialect == names
        given[dialect] = given_by(page, twice(page))
        assert OF_PAGES - given[dialect] == OF_PAGES & set(page.lacks), dialect
    start, _, rest = DOCS.read_text().partition(BEGIN)
    _, _, after_it = rest.partition(END)
    whole = f"{start}{BEGIN}{table(given)}{END}{after_it}"
    if os.environ.get("MQPIPE_WRITE_DOCS"):
        DOCS.write_text(whole)
    assert whole == DOCS.read_text()


def table(given: Given) -> str:
    """What each dialect's page gives, as a table of Markdown."""
    order = [m.name for kind in (BROKER, TOPIC, CLUSTER) for m in kind.metrics]
    dialects = [*DIALECTS, *WRITTEN]
    lines = [f"| column | {' | '.join(dialects)} |", "|---" * (len(dialects) + 1) + "|"]
    for column in sorted(OF_PAGES, key=order.index):
        marks = ("✓" if column in given[dialect] else "" for dialect in dialects)
        lines.append(f"| `{column}` | {' | '.join(marks)} |")
    return "\n".join(["", *lines, "", ""])


@pytest.mark.kafka
@pytest.mark.slow
def test_check_names_what_a_page_lacks_and_what_would_bring_it(
    by_rules: Ruled, tmp_path: Path
) -> None:
    """The page is found at the broker's own host; nothing has failed."""
    kafka = by_rules.kafka
    by_rules.take(RULES / "confluent.yml")
    port = urlsplit(kafka.metrics_urls[1]).port
    fetched(kafka.metrics_urls[1], "text/plain")  # the first time takes an agent longest
    (tmp_path / "c.yaml").write_text(f"""\
mode: infrastructure
clusters:
  - name: prod
    bootstrap_servers: {kafka.bootstrap_servers}
    broker_metrics: {{port: {port}}}
""")
    ended = mqpipe(tmp_path, "check", "c.yaml", "--connect")
    assert ended.code == 0, ended.out + ended.err
    (note,) = [line for line in ended.out.splitlines() if line.startswith("  note: ")]
    assert "the metrics page of broker 1 (names as of: Confluent) cannot give" in note
    assert "request.avgTimeFetch, " in note
    assert "(kafka.network:type=RequestMetrics,name=TotalTimeMs,request=… Mean)" in note
    assert "broker.systemLoad (java.lang:type=OperatingSystem SystemLoadAverage)" in note
    assert "docker/jmx-exporter.yml" in note
