"""The Grafana dashboard of mqpipe's own metrics: no panel asks for what mqpipe does not have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import HistogramMetricFamily, InfoMetricFamily

from flows.observe.metrics import JobCollector
from tests import job_pictures as p

BOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[4] / "docker" / "grafana" / "mqpipe.json").read_text()
)
PANELS: list[dict[str, Any]] = BOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]

FULL = p.picture(
    pools=(p.pool("brokers", "prod/brokers", tripped="prod/topics"),),
    sinks=(p.sink("newrelic", spooled=True, unsent=5000, dead=3),),
    clusters=(p.cluster("prod"),),
    anomalies=("spike",),
    draining=True,
)
EVERYWHERE = {"instance", "job"}
"""Labels that Prometheus adds."""


def exposed() -> dict[str, set[str]]:
    """Every series that mqpipe exposes, with its labels."""
    found: dict[str, set[str]] = {}
    for family in JobCollector(lambda: FULL).collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def used(expression: str) -> tuple[set[str], set[str]]:
    """The series and the labels that an expression names."""
    series = set(re.findall(r"\bmqpipe_\w+", expression))
    labels = set(re.findall(r"(\w+)\s*=~?\s*\"", expression))
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        labels |= {label.strip() for label in group.split(",")}
    return series, labels


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_panel_asks_for_series_and_labels_that_there_are(expression: str) -> None:
    """A metric or label that is renamed is missed here, not in an empty panel."""
    there = exposed()
    series, labels = used(expression)
    assert series
    assert series <= there.keys()
    assert labels <= EVERYWHERE.union(*(there[name] for name in series))


@pytest.mark.parametrize(
    ("panel", "target"),
    [(panel, t) for panel in PANELS for t in panel.get("targets", ()) if t["legendFormat"]],
)
def test_legend_names_labels_that_the_expression_keeps(
    panel: dict[str, Any], target: dict[str, Any]
) -> None:
    """A legend of a label that was summed away would be empty."""
    kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
    labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    if kept:
        assert all(labels <= {k.strip() for k in group.split(",")} for group in kept), panel[
            "title"
        ]


def test_every_metric_of_mqpipe_is_shown() -> None:
    """A new metric is either on the dashboard or noticed here."""
    shown = set().union(*(used(expression)[0] for expression in EXPRESSIONS))
    for family in JobCollector(lambda: FULL).collect():
        name = family.name
        if isinstance(family, HistogramMetricFamily):
            name += "_bucket"
        elif isinstance(family, InfoMetricFamily):
            name += "_info"
        elif family.type == "counter":
            name += "_total"
        assert name in shown


def test_panels_have_their_own_ids_and_places() -> None:
    """No two panels share an id or a cell, and none is wider than the page."""
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for panel in PANELS
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_expression_is_of_the_chosen_instance() -> None:
    """The variable at the top filters all panels."""
    names = [variable["name"] for variable in BOARD["templating"]["list"]]
    assert names == ["datasource", "instance"]
    for expression in EXPRESSIONS:
        selectors = re.findall(r"\bmqpipe_\w+({[^}]*})?", expression)
        assert all('instance=~"$instance"' in selector for selector in selectors)
