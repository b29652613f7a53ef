"""A Grafana board of clusters, by the names that `metrics: {samples: true}` serves them under.

A row for each kind of entity: its golden metrics first; all other numbers of the table follow in a
row that is closed at first.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from flows.dashboard.pages import GOLD, WORST, title
from flows.observe.samples.names import LABELS, MetricFamily, families, info
from operators.schema.metrics import (
    CONSUMER_GROUP,
    ENTITY_TYPES,
    GROUP_TOPIC,
    PARTITION_OFFSET,
    EntityType,
    Metric,
)

WIDTH = 24
"""Columns of a board."""
_LINES = 20
"""Entities that a chart of lines shows."""
_ROWS = 100
"""Rows that a table shows."""
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_CHOSEN = '{cluster=~"$cluster"}'
_UNITS = {"seconds": "s", "bytes": "bytes", "ratio": "percentunit"}
_MARGIN = "consumerGroup.marginSeconds"
"""The less, the worse."""
_EVERY = "mqpipe_cluster_last_tick_timestamp_seconds"
"""What a job has of each of its clusters."""


def board() -> dict[str, Any]:
    """The board, as Grafana 10 and newer import it."""
    return {
        "uid": "mqpipe-clusters",
        "title": "Message queues (mqpipe)",
        "description": "Clusters, brokers, topics, groups and queues, as mqpipe's metrics page has "
        "them with `samples: true`.",
        "tags": ["mqpipe", "kafka"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "mqpipe",
                "tags": ["mqpipe"],
                "asDropdown": False,
                "includeVars": False,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_datasource(), _clusters()]},
        "panels": _placed(ENTITY_TYPES),
    }


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
    }


def _clusters() -> dict[str, Any]:
    query = f"label_values({_EVERY}, cluster)"
    return {
        "name": "cluster",
        "label": "Cluster",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "cluster"},
        "definition": query,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def _placed(entities: Sequence[EntityType]) -> list[dict[str, Any]]:
    """All rows and panels, numbered, each below those before it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for entity in entities:
        name = entity.label.replace("_", " ")
        gold, others = _split(entity)
        numbers = [_number(metric, family) for metric, family in gold]
        lines = [_lines(entity, metric, family) for metric, family in gold]
        own = [*numbers, *lines, *_tables(entity)]
        closed = [_lines(entity, metric, family) for metric, family in others]
        if own:
            panels.append(_row(f"{name[:1].upper()}{name[1:]}", top))
            top = _fill(own, top + 1)
            panels += own
        if closed:
            row = _row(f"More of {name}", top, closed)
            top += 1
            _fill(closed, top)
            panels.append(row)
    for number, panel in enumerate(_all(panels), 1):
        panel["id"] = number
    return panels


def _all(panels: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from panel.get("panels", ())


def _split(
    entity: EntityType,
) -> tuple[list[tuple[Metric, MetricFamily]], list[tuple[Metric, MetricFamily]]]:
    """The golden metrics in their order, and the others."""
    by_name = {
        metric.name: (metric, family)
        for metric, family in zip(entity.numeric, families(entity), strict=True)
    }
    gold = GOLD.get(entity.name, ())
    return [by_name[g] for g in gold], [f for name, f in by_name.items() if name not in gold]


def _fill(panels: Sequence[dict[str, Any]], top: int) -> int:
    """Give panels their places from left to right; the first line that is free below."""
    left = tallest = 0
    for panel in panels:
        grid = panel["gridPos"]
        if left + grid["w"] > WIDTH:
            left, top, tallest = 0, top + tallest, 0
        grid["x"], grid["y"] = left, top
        left += grid["w"]
        tallest = max(tallest, grid["h"])
    return top + tallest


def _row(name: str, top: int, panels: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "type": "row",
        "title": name,
        "collapsed": panels is not None,
        "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        "panels": panels or [],
    }


def _panel(
    kind: str, name: str, meaning: str, unit: str, width: int, height: int, query: str
) -> dict[str, Any]:
    return {
        "type": kind,
        "title": name,
        "description": meaning,
        "datasource": _SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [{"datasource": _SOURCE, "expr": query, "legendFormat": "", "refId": "A"}],
    }


def _number(metric: Metric, family: MetricFamily) -> dict[str, Any]:
    """The total over all entities, or the worst where a total means nothing."""
    function = WORST.get(metric.unit, "sum")
    name = title(metric) if function == "sum" else f"{title(metric)}, the worst"
    query = f"{function}({family.name}{_CHOSEN})"
    panel = _panel("stat", name, family.help, _unit(metric, family), 4, 4, query)
    shown = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return {**panel, "options": {"reduceOptions": shown, "graphMode": "area"}}


def _lines(entity: EntityType, metric: Metric, family: MetricFamily) -> dict[str, Any]:
    worst = "bottomk" if metric.name == _MARGIN else "topk"
    query = f"{worst}({_LINES}, {family.name}{_CHOSEN})"
    unit = _unit(metric, family)
    panel = _panel("timeseries", title(metric), family.help, unit, 8, 8, query)
    panel["targets"][0]["legendFormat"] = " ".join(f"{{{{{label}}}}}" for label in _labels(entity))
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    panel["fieldConfig"]["defaults"]["custom"] = {"showPoints": "never", "spanNulls": False}
    return {**panel, "options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}}


def _labels(entity: EntityType) -> list[str]:
    return ["cluster", *(LABELS.get(i.column, i.column) for i in entity.identity)]


def _unit(metric: Metric, family: MetricFamily) -> str:
    if metric.unit == "bytes/s":
        return "Bps"
    return _UNITS.get(family.unit or "", "short")


def _tables(entity: EntityType) -> Iterator[dict[str, Any]]:
    """What is read as a list: groups with their state, and where they lag."""
    if entity is CONSUMER_GROUP and (words := info(entity)) is not None:
        lag = next(f.name for f in families(entity) if f.column == "consumerGroup.lagSeconds")
        states = ", ".join(label for _, label in words.labels)
        query = (
            f"topk({_ROWS}, {lag}{_CHOSEN} * on (cluster, group) group_left ({states}) "
            f"max by (cluster, group, {states}) ({words.name}_info{_CHOSEN}))"
        )
        yield _table("Groups by lag in seconds, with their state", "s", query)
    if entity in (CONSUMER_GROUP, GROUP_TOPIC):
        margin, lost = (
            next(f.name for f in families(entity) if f.column == column)
            for column in (_MARGIN, "consumerGroup.lostMessages")
        )
        name = entity.label.replace("_", " and ").replace("consumer and ", "")
        margins = f"bottomk({_ROWS}, {margin}{_CHOSEN})"
        yield _table(f"May lose messages, by {name}, the soonest", "s", margins, most=False)
        yield _table(
            f"Messages lost unread, by {name}", "short", f"topk({_ROWS}, {lost}{_CHOSEN} > 0)"
        )
    if entity in (GROUP_TOPIC, PARTITION_OFFSET):
        lag = next(f.name for f in families(entity) if f.column.lower().endswith("lag"))
        name = entity.label.replace("_", " and ").replace("offset", "group")
        yield _table(f"Lag by {name}, the most", "short", f"topk({_ROWS}, {lag}{_CHOSEN})")


def _table(name: str, unit: str, query: str, *, most: bool = True) -> dict[str, Any]:
    panel = _panel("table", name, "", unit, WIDTH, 8, query)
    panel["targets"][0] |= {"format": "table", "instant": True}
    left_out = {"Time": True, "__name__": True, "instance": True, "job": True}
    organize = {"id": "organize", "options": {"excludeByName": left_out}}
    options = {"showHeader": True, "sortBy": [{"displayName": "Value", "desc": most}]}
    return {**panel, "options": options, "transformations": [organize]}
