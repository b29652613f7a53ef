"""The configurations that ship."""

import pytest

from flows.config import Config
from flows.loading import parse
from flows.templates import COMMENTED, DEFAULT, of_servers, template


@pytest.mark.parametrize("name", [DEFAULT, COMMENTED])
def test_they_can_be_run_as_they_are(name: str) -> None:
    """Without a broker, a key or a variable of the environment."""
    config = parse(Config, template(name), name)
    assert config.mode == "simulation"
    assert config.sinks.names == ["parquet"]


@pytest.mark.parametrize(
    ("servers", "name"),
    [
        ("kafka-1:9092,kafka-2:9092", "kafka-1"),
        ("127.0.0.1:9092", "localhost"),
        (" broker:19092 , other:1", "broker-port-19092"),
        ("[::1]:9092", "localhost"),
        ("[fe80::1]:9093", "fe80--1-port-9093"),
    ],
)
def test_a_cluster_is_called_by_its_first_broker(servers: str, name: str) -> None:
    """Whatever its address has in it, the name is one that a file can have."""
    [cluster] = parse(Config, of_servers(servers), "--bootstrap-servers").clusters
    assert cluster.name == name
    assert cluster.address == servers
