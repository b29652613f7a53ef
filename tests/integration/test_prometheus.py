"""A real Prometheus scrapes a job's page; boards of others and of ours find data in it."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from flows.dashboard.grafana import board
from tests.documents import ROOT
from tests.http_scrapes import get
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import create_topic, member, produce
from tests.kafka_exporter import board as exporters_board
from tests.mqpipe import start, stop
from tests.ports import PortClaim

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

CONFIG = """
mode: hybrid
interval: 2s
clusters:
  - {{name: real, bootstrap_servers: "{servers}", partition_offsets: true}}
simulation:
  fleets:
    - {{name: sim, topics: 4, groups: 2}}
    - {{name: jobs, provider: sqs, queues: 3}}
    - {{name: shop, provider: rabbitmq, queues: 3}}
sinks: {{parquet: {{path: samples}}}}
recovery: {{path: state}}
metrics: {{listen: "127.0.0.1:{port}", samples: true, compatible: kafka_exporter}}
"""
OF_ITS_OWN = 120.0
"""Seconds after which what was asked for does not come any more."""


def tool(name: str) -> str:
    """A program of Prometheus's; without it the test is skipped."""
    if (found := shutil.which(name)) is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install prometheus)")
    return found


@pytest.fixture(scope="module")
def page(kafka3: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a job's page: of a real cluster with a group at work, and of fleets."""
    folder = tmp_path_factory.mktemp("job")
    topic = create_topic(kafka3)
    produce(kafka3, topic, [3, 4, 5])
    with PortClaim() as claim, member(kafka3, "prometheus", topic) as consumer:
        text = CONFIG.format(servers=kafka3.bootstrap_servers, port=claim.port)
        (folder / "c.yaml").write_text(text)
        process = start(folder, "run", "c.yaml")
        try:
            consumer.poll(30)
            consumer.commit(asynchronous=False)
            yield f"127.0.0.1:{claim.port}"
        finally:
            ended = stop(process)
    assert ended.code == 0, ended.err[-4000:]


@pytest.fixture(scope="module")
def prometheus(page: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that scrapes it each second."""
    program, folder = tool("prometheus"), tmp_path_factory.mktemp("prometheus")
    job = {"job_name": "mqpipe", "static_configs": [{"targets": [page]}]}
    scraped = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraped))
    with PortClaim() as claim:
        command = [
            *(program, f"--config.file={folder}/prometheus.yml"),
            *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{claim.port}"),
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            yield f"http://127.0.0.1:{claim.port}"
            process.terminate()


def found(prometheus: str, query: str) -> list[Any]:
    """What Prometheus finds now; nothing where it does not answer yet."""
    try:
        answer = json.loads(get(f"{prometheus}/api/v1/query?query={quote(query)}").text)
    except (OSError, ValueError):
        return []
    assert answer["status"] == "success", answer
    return list(answer["data"]["result"])


def without_data(prometheus: str, queries: Mapping[str, str]) -> Sequence[str]:
    """Those that found nothing until the time was over."""
    left, end = dict(queries), time.monotonic() + OF_ITS_OWN
    while left and time.monotonic() < end:
        left = {title: query for title, query in left.items() if not found(prometheus, query)}
        if left:
            time.sleep(0.2)
    return list(left)


def query_of(panel: Mapping[str, Any]) -> str:
    """A panel's of all clusters; what shows only groups that lost messages finds the others too."""
    expression: str = panel["targets"][0]["expr"]
    return expression.replace("$cluster", ".*").replace(" > 0", " >= 0")


@pytest.mark.long("takes a peer: a Prometheus, where one is installed")
def test_each_panel_of_kafka_exporters_board_finds_data(page: str, prometheus: str) -> None:
    """Its queries as they are, variables and panels."""
    panels = exporters_board(job="mqpipe", instance=page)
    assert without_data(prometheus, {panel.title: panel.query for panel in panels}) == []


@pytest.mark.long("takes a peer: a Prometheus, where one is installed")
def test_each_panel_of_our_board_finds_data(page: str, prometheus: str) -> None:
    """All that is seen at first; of the rows that are closed what the page has."""
    rows = board()["panels"]
    seen = [p for p in rows if p["type"] != "row"]
    closed = [p for row in rows for p in row.get("panels", ())]
    queries = {f"{panel['id']} {panel['title']}": query_of(panel) for panel in seen}
    assert without_data(prometheus, queries) == []
    text = get(f"http://{page}/metrics").text
    there = {line.split("{")[0] for line in text.splitlines() if line.startswith("mq_")}
    asked = {
        panel["title"]: query
        for panel in closed
        for query in [query_of(panel)]
        if any(name in query for name in there)
    }
    assert len(asked) > 40
    assert without_data(prometheus, asked) == []


@pytest.mark.long("takes a peer: promtool, where it is installed")
def test_promtool_finds_no_fault_in_the_page(page: str) -> None:
    """Its check of a page's format and names; kafka_exporter's names are not of ours."""
    lines = get(f"http://{page}/metrics").text.splitlines(keepends=True)
    ours = "".join(line for line in lines if not re.match(r"(# \w+ )?kafka_", line))
    assert "mq_topic_partitions{" in ours
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=ours,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["prometheus.yml", "kubernetes.yml"])
def test_promtool_takes_the_scrape_configurations(name: str, tmp_path: Path) -> None:
    """What is in docker/ is valid, with the rules that it names."""
    config = yaml.safe_load((ROOT / "docker/prometheus" / name).read_text())
    for job in config["scrape_configs"]:
        # Debian's is built without Kubernetes.
        job.pop("kubernetes_sd_configs", None)
    config["rule_files"] = [str(ROOT / "docker/prometheus/alerts.yml")]
    (tmp_path / name).write_text(yaml.safe_dump(config))
    checked = subprocess.run(
        [tool("promtool"), "check", "config", str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
