"""Configurations that ship with mqpipe."""

import json
from importlib.resources import files

DEFAULT = "default.yaml"
"""What runs without a configuration."""
COMMENTED = "commented.yaml"
"""What `mqpipe init` writes."""
OF_SERVERS = "of_servers.yaml"
"""What collects the cluster of some brokers, where no more is known of it."""


def template(name: str) -> str:
    """The text of a shipped configuration."""
    return (files(__name__) / name).read_text(encoding="utf-8")


def of_servers(servers: str) -> str:
    """A configuration that collects the cluster of these brokers (`host:port`, commas) into ./samples.

    It is called by the first one's host, and by its port where that is not Kafka's usual one.
    """
    first = servers.split(",")[0].strip()
    host, _, port = first.rpartition(":")
    host = host.strip("[]")
    host = "localhost" if host in ("127.0.0.1", "::1") else host.replace(":", "-")
    name = host if port == "9092" else f"{host}-port-{port}"
    return template(OF_SERVERS).format(name=json.dumps(name), servers=json.dumps(servers))
