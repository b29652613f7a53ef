"""Configurations that are changed at random: taken, or refused in words, at once."""

import contextlib
import copy
import io
import random
from pathlib import Path
from typing import Any

import yaml

from flows.check import check
from flows.config import Config
from flows.errors import CommandError, ConfigError
from flows.loading import parse
from tests.attack import hostile
from tests.attack.place import Found, Place, within, written

ROOT = Path(__file__).parents[2]
SOURCES = [
    *sorted((ROOT / "docs" / "examples").glob("*.yaml")),
    *(ROOT / "flows" / "templates" / f"{name}.yaml" for name in ("commented", "default")),
    ROOT / "docker" / "mqpipe.yaml",
]
RICH = """
mode: hybrid
interval: 30s
account_id: 7
clusters:
  - name: prod
    bootstrap_servers: 127.0.0.1:1
    client: {security.protocol: PLAINTEXT}
    topics: {include: ["a.*"], exclude: ["^__"]}
    expect: {brokers: [1, 2], topics: [a], groups: [g]}
    like: f
    priority: high
    probe: {}
pools: {brokers: {size: auto, min: 1, max: 5}, topics: {size: 3, queue: 10, attempts: 2}}
simulation:
  seed: 3
  fleets:
    - name: f
      clusters: 2
      brokers: [1, 2, 5]
      topics: [{name: a, partitions: 3, messages_per_second: 5}, {name: b}]
      groups: [{name: g, topics: [a, b], consumers: 2}]
      time_zone: Europe/Berlin
      holidays: [2026-01-01]
      pattern: {kind: sum, of: [{kind: sine, period: 1h}, {kind: step, start: 2026-01-01T00:00:00Z}]}
    - {name: q, provider: sqs, queues: 3, pattern: business_hours}
  anomalies:
    - {kind: broker_down, entity: f-1/broker-2, start: 2026-01-01T00:00:00Z, duration: 10m}
    - {kind: spike, rate: 0.5, fleet: q}
fill: {grace: 5s, stale_after: 1m}
catch_up: 1h
sinks:
  parquet: {path: ./samples, roll: {rows: 10, every: 1m}, keep: 30d}
  newrelic: {license_key: abcdefgh, region: US, spool: {size: 1GiB, full: block}}
  kafka: {bootstrap_servers: "127.0.0.1:1", topic: t, client: {acks: all}}
dead_letters: {path: ./dead, size: 1GiB}
recovery: {path: ./state, epoch: 5s}
metrics: {listen: "127.0.0.1:0"}
"""

Path_ = tuple[Any, ...]
LIMIT = 30.0
"""Seconds that a check may take on a busy machine."""


def attack(chance: random.Random, place: Place) -> str:
    """One changed configuration, or several; gives the last text."""
    text = RICH if chance.random() < 0.6 else chance.choice(SOURCES).read_text()
    text = _of_values(text, chance) if chance.random() < 0.75 else _of_text(text, chance)
    place.write("c.yaml", text)
    if chance.random() < 0.02:
        place.run("check", "c.yaml")
    else:
        _in_this_process(text)
    place.look_outside()
    return text


def _in_this_process(text: str) -> None:
    said = io.StringIO()
    with within(LIMIT, "check"), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            config = parse(Config, text, "c.yaml", {"NEW_RELIC_LICENSE_KEY": "hunter2hunter2"})
            check(config, connect=False)
        except ConfigError as error:
            for fault in error.faults:
                if not fault.message or len(fault.message) > 5_000 or len(fault.path) > 2_000:
                    raise Found(f"a fault that helps nobody: {fault!r:.500}") from error
            said.write(str(error))
        except CommandError as error:
            said.write(str(error))
    if "hunter2hunter2" in said.getvalue():
        raise Found(f"a secret is shown: {said.getvalue():.2000}")


def _of_values(text: str, chance: random.Random) -> str:
    values = yaml.safe_load(text)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        values = _changed(values, chance)
    with contextlib.suppress(yaml.YAMLError):
        return written(values)
    return text


def _changed(values: Any, chance: random.Random) -> Any:
    values = copy.deepcopy(values)
    places = list(_places(values))
    if not places:
        return hostile.value(chance)
    path = chance.choice(places)
    parent = values
    for step in path[:-1]:
        parent = parent[step]
    how, last = chance.randrange(6), path[-1]
    if how == 0:
        del parent[last]
    elif how == 1 and isinstance(parent, dict):
        key = hostile.value(chance)
        if isinstance(key, dict | list):
            key = str(key)
        parent[key] = parent.pop(last)
    elif how == 2:
        other = chance.choice(places)
        found = values
        for step in other:
            found = found[step] if _has(found, step) else None
        parent[last] = copy.deepcopy(found)
    elif how == 3 and isinstance(parent, list):
        parent[:] = parent * chance.choice([2, 50])
    else:
        parent[last] = hostile.value(chance)
    return values


def _has(values: Any, step: Any) -> bool:
    if isinstance(values, dict):
        return step in values
    return isinstance(values, list) and isinstance(step, int) and step < len(values)


def _places(values: Any, path: Path_ = ()) -> list[Path_]:
    if isinstance(values, dict):
        below = [_places(inner, (*path, key)) for key, inner in values.items()]
    elif isinstance(values, list):
        below = [_places(inner, (*path, n)) for n, inner in enumerate(values)]
    else:
        return [path] if path else []
    return [*([path] if path else []), *(place for places in below for place in places)]


def _of_text(text: str, chance: random.Random) -> str:
    for _ in range(chance.choice([1, 2, 8])):
        at = chance.randrange(len(text) + 1)
        odd = chance.choice(
            ["\t", ":", "- ", "&a ", "*a", "? ", "!!str ", "{", "}", "[", "]", "'", '"', "|", ">",
             "%", "@", "\x00", "\ufeff", "<<: *a", "---\n", "...\n", "\n  ", "${", "#", "\u2028"]
        )  # fmt: skip
        cut = chance.choice([0, 0, 1, 10])
        text = text[:at] + odd + text[at + cut :]
    if chance.random() < 0.1:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
        text = "\n".join([*lines, text])
    return text
