"""Where the pages of nodes' Prometheus plugin are."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from operators.rabbitmq.settings import RabbitSettings

PORT = 15692
"""Where the plugin listens, unless it is set otherwise."""


def places(
    settings: RabbitSettings, running: frozenset[str], overview: Mapping[str, Any]
) -> dict[str, str]:
    """By node that runs: as the settings say, or at the port that each listens on by the API's overview."""
    urls: dict[str, str] = {}
    for listener in overview.get("listeners") or ():
        protocol, node = str(listener.get("protocol")), str(listener.get("node"))
        if protocol in ("http/prometheus", "https/prometheus") and node in running:
            scheme = protocol.partition("/")[0]
            urls[node] = f"{scheme}://{_host(settings, node, running)}:{listener.get('port')}"
    if not keeps_statistics(overview):
        # Then the API reports no listeners either.
        urls = {node: f"http://{_host(settings, node, running)}:{PORT}" for node in running}
    return {**urls, **settings.prometheus}


def keeps_statistics(overview: Mapping[str, Any]) -> bool:
    """Whether the management plugin does; without it reports no listeners, among much else."""
    return "listeners" in overview


def page_url(url: str, families: Iterable[str]) -> str:
    """Where these families of a plugin's page are."""
    asked = urlencode([("family", family) for family in families])
    return f"{url.rstrip('/').removesuffix('/metrics')}/metrics/detailed?{asked}"


def totals_url(url: str) -> str:
    """Where a plugin's page of the whole node is."""
    return f"{url.rstrip('/').removesuffix('/metrics')}/metrics"


def _host(settings: RabbitSettings, node: str, running: frozenset[str]) -> str:
    """Where a node is reached: the API's own host is known to be, others are by their names."""
    host = urlsplit(settings.url).hostname if len(running) == 1 else node.partition("@")[2]
    return f"[{host}]" if host and ":" in host else f"{host}"
