"""Configurations that ship with mqpipe."""

import json
from importlib.resources import files

DEFAULT = "default.yaml"
"""What runs without a configuration."""
COMMENTED = "commented.yaml"
"""What `mqpipe init` writes."""
OF_SERVERS = "of_servers.yaml"
"""What collects the cluster of some brokers, where no more is told of it."""


def template(name: str) -> str:
    """The text of a shipped configuration."""
    return (files(__name__) / name).read_text(encoding="utf-8")


def of_servers(servers: str) -> str:
    """A configuration that collects the cluster of these brokers (`host:port`, commas) into ./samples."""
    first = servers.split(",")[0].strip()
    host, _, port = first.rpartition(":")
    host = host.strip("[]").replace(":", "-")
    name = host if port == "9092" else f"{host}-{port}"
    return template(OF_SERVERS).format(name=json.dumps(name), servers=json.dumps(servers))
