"""The whole configuration: what its parts name of each other."""

import json
import re

import pytest

from flows.config import Config
from flows.errors import ConfigError
from flows.loading import FORMS, parse

NAMES_ASTRAY = """\
mode: hybrid
clusters:
  - name: prod-eu
    bootstrap_servers: b:1
    like: sin-eu
  - {name: sim-us, bootstrap_servers: "b:1"}
pools: {brokrs: {size: 3}}
simulation:
  fleets:
    - name: sim-eu
      topics: [{name: orders}]
    - {name: sim-us}
  anomalies:
    - {kind: broker_down, entity: sim-eu/broker-9, start: 2026-01-01T10:00:00Z}
    - {kind: spike, rate: 0.1, fleet: sim-as}
sinks:
  newrelic: {license_key: secret}
"""


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(Config, text, "c.yaml", {})
    return str(caught.value).splitlines()


def test_every_name_that_leads_nowhere_is_reported_at_once() -> None:
    """Each with its line, its path and the nearest right name."""
    assert faults(NAMES_ASTRAY) == [
        "c.yaml:5: clusters[0].like: `sin-eu` is no fleet of simulation.fleets; did you mean "
        "`sim-eu`?",
        "c.yaml:6: clusters[1].name: `sim-us` is a collected cluster and a simulated one: rename "
        "one",
        "c.yaml:7: pools.brokrs: `brokrs` is no kind of target; did you mean `brokers`?",
        "c.yaml:14: simulation.anomalies[0].entity: anomaly `broker_down`: no entity "
        "`sim-eu/broker-9` that it can start at; did you mean `sim-eu/broker-3`?",
        "c.yaml:15: simulation.anomalies[1].fleet: no fleet `sim-as`; did you mean `sim-us`?",
        "c.yaml:17: sinks.newrelic: New Relic needs `account_id`",
    ]


def test_a_group_reads_topics_that_its_fleet_has() -> None:
    """Named ones, or those that the fleet names itself."""
    text = (
        "simulation:\n"
        "  fleets:\n"
        "    - name: a\n"
        "      groups: [{name: g, topics: [order]}]\n"
        "    - name: b\n"
        "      topics: [{name: mine}]\n"
        "      groups: [{name: g, topics: [mine, orders]}]\n"
    )
    assert faults(text) == [
        "c.yaml:4: simulation.fleets[0].groups[0].topics[0]: group `g` reads the topic `order`, "
        "which the fleet does not have; did you mean `orders`?",
        "c.yaml:7: simulation.fleets[1].groups[0].topics[1]: group `g` reads the topic `orders`, "
        "which the fleet does not have; there are mine",
    ]


def test_expected_entities_are_named_once() -> None:
    """One that is named twice would be filled twice."""
    text = (
        "mode: hybrid\n"
        "clusters:\n"
        "  - {name: a, bootstrap_servers: 'b:1', expect: {brokers: [1, 1], topics: [x, y, x]}}\n"
    )
    assert faults(text) == [
        "c.yaml:3: clusters[0].expect.brokers: named twice: 1",
        "c.yaml:3: clusters[0].expect.topics: named twice: x",
    ]


def test_words_that_are_not_known_are_reported_with_the_nearest() -> None:
    """Where they stand, in the words of the configuration and not of a library."""
    text = """\
mode: simulatoin
clusters:
  - {name: a/b, bootstrap_servers: "b:1"}
  - {name: c, provider: rabitmq, url: "http://r:15672"}
"""
    assert faults(text) == [
        "c.yaml:1: mode: input should be 'infrastructure', 'simulation' or 'hybrid' (given: "
        "'simulatoin'); did you mean `simulation`?",
        "c.yaml:3: clusters[0].name: must be without `/`, `:` and blanks (given: 'a/b')",
        "c.yaml:4: clusters[1].provider: no provider 'rabitmq'; did you mean `rabbitmq`?",
    ]


def test_every_form_of_a_text_is_reported_in_words() -> None:
    """No pattern of the configuration is shown to who writes it."""
    text = json.dumps(Config.model_json_schema())
    patterns = {
        json.loads(f'"{found}"') for found in re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', text)
    }
    assert len(patterns) > 3
    assert patterns <= FORMS.keys()


def test_a_key_of_another_provider_is_no_unknown_word() -> None:
    """It is not offered in its own place."""
    text = """\
mode: infrastructure
clusters:
  - {name: a, provider: rabbitmq, url: "http://b:15672", user: u, password: p, bootstrap_servers: b}
sinks: {parquet: {path: out}}
"""
    assert faults(text) == [
        "c.yaml:3: clusters[0].bootstrap_servers: unknown key here; it goes with another provider or kind"
    ]
