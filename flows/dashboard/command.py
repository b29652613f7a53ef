"""`mqpipe dashboard`: JSON for New Relic's dashboards and alerts and for Grafana, on standard output."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from flows.config import Config
from flows.dashboard.alerts import as_input, conditions
from flows.dashboard.grafana import board
from flows.dashboard.nrql import Query, Total
from flows.dashboard.pages import ENTITIES, Chart, DashboardPage, Widget, pages
from flows.errors import UsageError
from operators.collect.settings import ClusterSettings
from operators.simulate.spec import by_cluster
from sinks.newrelic.settings import Shape

INTERVAL = 30.0
"""Seconds between two samples where no config says it."""
COLUMNS = 12
"""Columns of a New Relic dashboard."""


def dashboard(config: Config | None, *, alerts: bool, grafana: bool = False) -> int:
    """Write the dashboard, or the alert conditions (`alerts`), or Grafana's board (`grafana`).

    A config gives the account, the interval, and how many brokers a cluster has.

    Raises:
        UsageError: the config sends no events, which the queries are of.
    """
    if grafana:
        typer.echo(grafana_board(), nl=False)
        return 0
    newrelic = None if config is None else config.sinks.newrelic
    if newrelic is not None and newrelic.shape is Shape.METRICS:
        raise UsageError(
            "the dashboard's queries are of events, and sinks.newrelic.shape is `metrics`: "
            "set it to `events` or `both`"
        )
    if alerts:
        interval = INTERVAL if config is None else config.interval
        brokers = {} if config is None else _brokers(config)
        found: Any = [as_input(condition, interval) for condition in conditions(brokers)]
    else:
        found = as_dashboard(pages(), None if config is None else config.account_id)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    return 0


def grafana_board() -> str:
    """The Grafana board of clusters, as it is written and shipped."""
    return json.dumps(board(), indent=2, ensure_ascii=False) + "\n"


def _brokers(config: Config) -> dict[str, int]:
    """How many brokers clusters have, where the config says it."""
    clusters = config.clusters if config.collects else ()
    found = {c.name: len(c.expect.brokers) for c in clusters if isinstance(c, ClusterSettings)}
    if config.simulates:
        shards = by_cluster(config.simulation).values()
        found |= {spec.cluster: len(spec.topology.brokers) for spec in shards}
    return {cluster: number for cluster, number in found.items() if number}


def as_dashboard(pages_: Sequence[DashboardPage], account_id: int | None) -> dict[str, Any]:
    """Pages as New Relic imports them (`Import dashboard`, or NerdGraph's `dashboardCreate`).

    Without an account the importing one is asked for.
    Source: docs.newrelic.com, NerdGraph tutorial: create dashboards.
    """
    accounts = [] if account_id is None else [account_id]
    return {
        "name": "Message queues (mqpipe)",
        "description": "Clusters, brokers, topics, groups and queues, measured and simulated",
        "permissions": "PUBLIC_READ_WRITE",
        "pages": [_page(page, accounts) for page in pages_],
        "variables": [
            _variable("cluster", "Cluster", "clusterName", accounts),
            _variable("environment", "Environment", "environment", accounts),
        ],
    }


def _page(page: DashboardPage, accounts: list[int]) -> dict[str, Any]:
    widgets = []
    column, row, tallest = 1, 1, 0
    for widget in page.widgets:
        if column + widget.width > COLUMNS + 1:
            column, row, tallest = 1, row + tallest, 0
        widgets.append(_widget(widget, column, row, accounts))
        column += widget.width
        tallest = max(tallest, widget.height)
    return {"name": page.name, "description": page.meaning, "widgets": widgets}


def _widget(widget: Widget, column: int, row: int, accounts: list[int]) -> dict[str, Any]:
    layout = {"column": column, "row": row, "width": widget.width, "height": widget.height}
    configuration: dict[str, Any] = {"text": widget.content}
    if isinstance(widget.content, Query | Total):
        query = {"accountIds": accounts, "query": str(widget.content)}
        configuration = {
            "nrqlQueries": [query],
            "facet": {"showOtherSeries": False},
            "platformOptions": {"ignoreTimeRange": False},
        }
        if widget.chart in (Chart.LINES, Chart.AREAS):
            configuration |= {"legend": {"enabled": True}, "yAxisLeft": {"zero": True}}
    return {
        "title": widget.title,
        "layout": layout,
        "linkedEntityGuids": None,
        "visualization": {"id": widget.chart.value},
        "rawConfiguration": configuration,
    }


def _variable(name: str, title: str, attribute: str, accounts: list[int]) -> dict[str, Any]:
    query = Query(f"uniques({attribute})", ENTITIES, (attribute,), filtered=False)
    return {
        "name": name,
        "title": title,
        "type": "NRQL",
        "isMultiSelection": True,
        "replacementStrategy": "STRING",
        "defaultValues": [{"value": {"string": "*"}}],
        "nrqlQuery": {"accountIds": accounts, "query": str(query)},
        "items": None,
        "options": {"ignoreTimeRange": False},
    }
