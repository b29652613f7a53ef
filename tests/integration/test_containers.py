"""What is in docker/, checked as far as it can be without a container engine."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml

from flows.config import Config
from flows.loading import parse
from flows.observe.metrics import JobCollector
from flows.observe.samples.names import families
from operators.schema.metrics import ENTITY_TYPES
from tests import job_pictures
from tests.docker.steps import ROOT, run_stage, stages
from tests.documents import PAGES

DOCKER = ROOT / "docker"
MANIFESTS = DOCKER / "kubernetes/mqpipe.yaml"


def _yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFESTS.read_text(encoding="utf-8")))


def _series() -> set[str]:
    """The series that a job serves, and the names of histograms that they are parts of."""
    picture = job_pictures.picture(
        pools=(job_pictures.pool("brokers", "prod/brokers", tripped="prod/topics"),),
        sinks=(job_pictures.sink("newrelic", spooled=True, unsent=5000, dead=3),),
        clusters=(job_pictures.cluster("prod"),),
        draining=True,
    )
    collected = JobCollector(lambda: picture).collect()
    served = {sample.name for family in collected for sample in family.samples}
    return served | {name.removesuffix("_bucket") for name in served}


def _alerts() -> list[dict[str, Any]]:
    groups = _yaml(DOCKER / "prometheus/alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_steps_of_the_image_give_a_product_that_exports(tmp_path: Path) -> None:
    """The wheel is built and installed by the lock, without compilers or tests in what is kept."""
    build = stages(DOCKER / "Dockerfile")[0]
    try:
        run_stage(build, tmp_path / "image", Path(sys.executable).resolve())
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd}\n{error.stdout}")
    installed = tmp_path / "image/opt/mqpipe"
    range_ = ["--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:10:00Z"]
    ended = subprocess.run(
        [installed / "bin/mqpipe", "export", *range_, "--out", "x"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "x: 6,960 samples" in ended.stdout
    names = {path.name for path in installed.glob("lib/python*/site-packages/*")}
    assert not names & {"pip", "uv", "hatchling", "pytest", "tests"}


def test_the_image_is_pinned_and_runs_as_nobody() -> None:
    """Every base image has a version, and the last stage ends as another user than root."""
    for file in (DOCKER / "Dockerfile", DOCKER / "kafka.Dockerfile"):
        for stage in stages(file):
            assert re.search(r":\d+\.\d+", stage[0].text), stage[0]
    last = stages(DOCKER / "Dockerfile")[-1]
    assert [step.text for step in last if step.name == "USER"] == ["10001:10001"]


COMPOSE = pytest.mark.parametrize(
    "compose", ["compose.yaml", "compose.rabbitmq.yaml", "compose.nats.yaml"]
)


@COMPOSE
def test_compose_file_fits_its_schema(compose: str) -> None:
    """The compose file is what the Compose Specification says."""
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"),
            str(DOCKER / compose),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@COMPOSE
def test_compose_mounts_and_builds_what_is_there(compose: str) -> None:
    """Each file and folder that a service names is in the tree, and each image has a version."""
    for name, service in _yaml(DOCKER / compose)["services"].items():
        assert re.search(r":v?\d+\.\d+", service["image"]), name
        if "build" in service:
            assert (DOCKER / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file(), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).exists(), f"{name}: {source}"


def test_manifests_fit_the_schemas_of_kubernetes() -> None:
    """Each manifest is valid, unknown fields refused."""
    for manifest in _manifests():
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_configurations_are_valid() -> None:
    """What the containers run with is a configuration."""
    config_map = next(m for m in _manifests() if m["kind"] == "ConfigMap")
    environment = {**os.environ, "KAFKA_PASSWORD": "placeholder"}
    for text in (
        (DOCKER / "mqpipe.yaml").read_text(encoding="utf-8"),
        (DOCKER / "rabbitmq/mqpipe.yaml").read_text(encoding="utf-8"),
        (DOCKER / "nats/mqpipe.yaml").read_text(encoding="utf-8"),
        config_map["data"]["mqpipe.yaml"],
    ):
        parse(Config, text, "mqpipe.yaml", environment)


def test_the_chart_runs_a_configuration_that_is_valid() -> None:
    """The one of its values; probes and Prometheus ask where it serves."""
    values = _yaml(DOCKER / "helm/mqpipe/values.yaml")
    config = parse(Config, yaml.safe_dump(values["config"]), "values.yaml")
    assert config.metrics.listen == "0.0.0.0:9464"
    assert values["terminationGracePeriodSeconds"] > config.shutdown.grace
    chart = _yaml(DOCKER / "helm/mqpipe/Chart.yaml")
    assert (chart["apiVersion"], chart["appVersion"]) == ("v2", version("mqpipe"))


@pytest.mark.skipif(shutil.which("helm") is None, reason="Helm is not there")
def test_the_chart_is_what_helm_and_kubernetes_take() -> None:
    """Its linter has no complaint, and each manifest that it makes is valid."""
    chart, more = str(DOCKER / "helm/mqpipe"), ("--set", "secretName=keys,storage.className=fast")
    subprocess.run(["helm", "lint", "--strict", chart], check=True, capture_output=True)
    for values in ((), more):
        made = subprocess.run(
            ["helm", "template", "mq", chart, "--kube-version", "1.33.0", *values],
            check=True,
            capture_output=True,
            text=True,
        )
        for manifest in yaml.safe_load_all(made.stdout):
            kubernetes_validate.validate(manifest, "1.33", strict=True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there")
def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    """With a program that is there in place of mqpipe's; reload is the signal that rereads."""
    text = (DOCKER / "systemd/mqpipe.service").read_text(encoding="utf-8")
    assert "kill -HUP $MAINPID" in text
    unit = tmp_path / "mqpipe.service"
    unit.write_text(text.replace("/opt/mqpipe/bin/mqpipe", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_alert_rules_are_promql_over_metrics_that_there_are() -> None:
    """Each rule parses, names metrics that a job serves, and says what to do."""
    samples = {f.name for t in ENTITY_TYPES for f in families(t)}
    there = {"up", *_series(), *samples}
    for rule in _alerts():
        promql_parser.parse(rule["expr"])
        named = set(re.findall(r"\b(mqpipe_\w+|mq_\w+|up)\b", rule["expr"]))
        assert named, rule["alert"]
        assert named <= there, f"{rule['alert']}: {named - there}"
        assert rule["annotations"]["action"]


def test_grafana_finds_its_dashboard_and_source() -> None:
    """The provisioned source is Prometheus, and the dashboard that is mounted is one."""
    source = _yaml(DOCKER / "grafana/provisioning/datasources/prometheus.yml")
    assert source["datasources"][0]["type"] == "prometheus"
    assert json.loads((DOCKER / "grafana/mqpipe.json").read_text())["panels"]


def test_metrics_on_the_pages_are_served() -> None:
    """Each metric of mqpipe's own that README or docs name is one that a job has."""
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`(mqpipe_[a-z_]+)`", page.read_text("utf-8"))
    }
    assert len(named) > 10
    assert named <= _series(), named - _series()
