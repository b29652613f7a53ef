"""A configuration as it is in effect."""

from pathlib import Path

import yaml

from flows.config import Config
from flows.effective import as_yaml, effective
from flows.loading import parse
from flows.templates import COMMENTED, DEFAULT, template


def test_what_it_writes_is_the_same_configuration(tmp_path: Path) -> None:
    """With every default, in seconds and bytes."""
    for name in (DEFAULT, COMMENTED):
        config = parse(Config, template(name), name)
        text = as_yaml(config)
        assert parse(Config, text, "effective.yaml") == config
        assert yaml.safe_load(text)["recovery"]["epoch"] == 5.0


def test_it_holds_no_secret() -> None:
    """Neither a key nor a property of a client, which may be a password."""
    text = """
mode: infrastructure
account_id: 7
clusters:
  - {name: prod, bootstrap_servers: "b:9092", client: {sasl.password: hunter2}}
sinks:
  newrelic: {license_key: abcdef0123456789abcdef0123456789abcdNRAL}
"""
    written = as_yaml(parse(Config, text, "mqpipe.yaml"))
    assert "hunter2" not in written
    assert "abcdef" not in written


def test_a_fleet_has_the_settings_of_its_provider_alone() -> None:
    """Those of others would be refused where it is read again."""
    [kafka] = effective(parse(Config, template(DEFAULT), DEFAULT))["simulation"]["fleets"]
    assert "brokers" in kafka
    assert "queues" not in kafka
