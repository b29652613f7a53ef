"""The Grafana board of clusters: it asks for what the page has, and for all of it."""

import json
import re
from typing import Any

import promql_parser
import pytest

from flows.dashboard.command import dashboard
from flows.dashboard.grafana import WIDTH, board
from flows.observe.metrics import JobCollector
from flows.observe.samples.names import LABELS, families, info
from operators.schema.metrics import ENTITY_TYPES
from tests import job_pictures as p

BOARD = board()
ROWS: list[dict[str, Any]] = BOARD["panels"]
PANELS = [
    panel for row in ROWS for panel in (row, *row.get("panels", ())) if panel["type"] != "row"
]
EVERYWHERE = {"instance", "job"}
"""Labels that Prometheus adds."""


def served() -> dict[str, set[str]]:
    """Every series that the page of clusters can have, with its labels."""
    found: dict[str, set[str]] = {}
    for entity in ENTITY_TYPES:
        labels = {"cluster", *(LABELS.get(i.column, i.column) for i in entity.identity)}
        found |= {family.name: labels for family in families(entity)}
        if (words := info(entity)) is not None:
            found[f"{words.name}_info"] = labels | {label for _, label in words.labels}
    return found


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_in_promql_for_what_there_is(panel: dict[str, Any]) -> None:
    """Its series, the labels that it keeps, and those of its legend are on the page."""
    there = served()
    (target,) = panel["targets"]
    promql_parser.parse(target["expr"].replace("$cluster", ".*"))
    names = set(re.findall(r"\bmq_\w+", target["expr"]))
    assert names
    assert names <= there.keys()
    labels = set().union(*(there[name] for name in names)) | EVERYWHERE
    groups = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", target["expr"])
    assert {label.strip() for group in groups for label in group.split(",")} <= labels
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels


def test_every_number_of_the_table_has_a_chart() -> None:
    """A metric that is added to the table is on the board without a change there."""
    charts = [p["targets"][0]["expr"] for p in PANELS if p["type"] == "timeseries"]
    shown = [name for expression in charts for name in re.findall(r"\bmq_\w+", expression)]
    assert sorted(shown) == sorted(
        family.name for entity in ENTITY_TYPES for family in families(entity)
    )


def test_panels_have_their_own_ids_and_places() -> None:
    """No two share an id; none that are seen at once share a cell, or lie beyond the width."""
    ids = [panel["id"] for row in ROWS for panel in (row, *row.get("panels", ()))]
    assert len(set(ids)) == len(ids)
    for together in (ROWS, *(row["panels"] for row in ROWS if row.get("collapsed"))):
        cells = [
            (x, y)
            for panel in together
            for grid in [panel["gridPos"]]
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        ]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) < WIDTH


def test_the_board_is_of_the_chosen_clusters() -> None:
    """The variable is filled from what a job always has, and filters every series."""
    asked = BOARD["templating"]["list"][1]["query"]["query"]
    (name,) = re.findall(r"mqpipe_\w+", asked)
    picture = p.picture(clusters=(p.cluster("prod"),))
    jobs = {
        sample.name: sample.labels
        for family in JobCollector(lambda: picture).collect()
        for sample in family.samples
    }
    assert "cluster" in jobs[name]
    for panel in PANELS:
        filters = re.findall(r"\bmq_\w+({[^}]*})?", panel["targets"][0]["expr"])
        assert set(filters) == {'{cluster=~"$cluster"}'}


def test_the_command_writes_the_board(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output has it, and nothing else."""
    assert dashboard(None, alerts=False, grafana=True) == 0
    assert json.loads(capsys.readouterr().out) == BOARD
