"""Numbers, lists and names that no one can mean: refused at once, with a reason."""

import time

import pytest

from flows.config import Config
from flows.errors import ConfigError
from flows.loading import parse

DIGITS = "9" * 400


def said(text: str) -> str:
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse(Config, text, "c.yaml", {})
    assert time.process_time() - began < 20
    assert len(caught.value.faults) < 20
    return str(caught.value)


@pytest.mark.parametrize(
    ("fleet", "reason"),
    [
        ("brokers: 99999999999999999999", "at most 10,000 is possible: no cluster has more"),
        (f"brokers: {DIGITS}", "at most 10,000 is possible"),
        (f"brokers: 0x{DIGITS * 20}", "must be a whole number"),
        ("brokers: [99999999999]", "Kafka's ids have 31 bits"),
        ("topics: 1000000000", "at most 200,000 is possible: no cluster holds more"),
        ("groups: 1000000000", "at most 200,000"),
        (f"clusters: {DIGITS}", "at most 1,000,000 is possible"),
        ("clusters: 900000", "and a job simulates at most 1,000,000"),
        ("partitions: 1000000", "10,000,000 partitions a cluster"),
        ("replication_factor: 99999", "Kafka counts replicas in 15 bits"),
        ("messages_per_second: 1.0e+300", "no cluster takes more messages"),
        ("messages_per_second: .inf", "finite number"),
        ("message_size: 9999999999", "smaller than 1 GiB"),
        ("retention: 99999999999d", "at most 100 years"),
        (f"retention: {DIGITS}", "at most 100 years"),
        (f"retention: {DIGITS}d", "at most 100 years"),
        ("messages_per_second: 1000000000, message_size: 1000000000", "than can be counted"),
        ("pattern: {kind: {a: 1}}", "must be text"),
        ("pattern: {kind: [sine]}", "must be text"),
        ("pattern: {kind: constant, value: 1.0e+300}", "a level is multiplied by it"),
        ("name: {a: 1}", "must be text"),
    ],
)
def test_a_fleet_that_nobody_can_mean_is_refused_with_the_reason(fleet: str, reason: str) -> None:
    """At once, not after what it asks for was made."""
    name = "" if fleet.startswith("name") else "name: a, "
    assert reason in said(f"simulation: {{fleets: [{{{name}{fleet}}}]}}\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("interval: 99999999999d", "at most 100 years"),
        (f"interval: {DIGITS}", "at most 100 years"),
        ("interval: 400d", "at most a year (366d)"),
        (f"catch_up: {DIGITS}d", "at most 100 years"),
        (f"account_id: {DIGITS}", "less than or equal to"),
        (f"dead_letters: {{size: {DIGITS}TiB}}", "at most 1 EiB"),
        (f"dead_letters: {{size: {DIGITS}}}", "at most 1 EiB"),
        (f"pools: {{brokers: {{size: {DIGITS}}}}}", "work at the same time"),
        ("pools: {brokers: {size: auto, max: 1000000}}", "work at the same time"),
        (f"sinks: {{kafka: {{bootstrap_servers: 'b:1', partitions: {DIGITS}}}}}", "100000"),
        ('recovery: {path: "a\\0b"}', "holds a NUL character"),
        ('recovery: {path: "a\\ud800b"}', "half a character"),
    ],
)
def test_a_setting_that_nobody_can_mean_is_refused_with_the_reason(text: str, reason: str) -> None:
    """Durations, sizes, counts and texts."""
    assert reason in said(text + "\nsimulation: {fleets: [{name: a}]}\n")


def test_half_a_character_is_a_fault_where_one_of_a_few_words_is_asked_for() -> None:
    """A kind is looked up among those there are, which takes text that can be encoded."""
    text = 'simulation: {fleets: [{name: f, pattern: {kind: "a\\ud800b"}}]}'
    assert "half a character" in said(text)


def test_aliases_that_multiply_are_refused_before_they_do() -> None:
    """A few lines would make more values than memory holds."""
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "those of what holds aliases itself are multiplied" in said("\n".join(lines))


@pytest.mark.parametrize("text", ["[" * 5_000, "{a: " * 3_000, "a: " + "[" * 300 + "]" * 300])
def test_what_is_nested_beyond_reading_is_refused(text: str) -> None:
    """No more than Python's stack holds."""
    assert "c.yaml" in said(text)


@pytest.mark.parametrize("fleet", ["topics: 200000, groups: 1", "brokers: 10000", "clusters: 50"])
def test_what_is_just_within_the_bounds_is_taken(fleet: str) -> None:
    """The bounds are no narrower than they say."""
    assert parse(Config, f"simulation: {{fleets: [{{name: a, {fleet}}}]}}\n", "c.yaml", {})


def test_a_fault_within_one_of_several_forms_is_reported_alone() -> None:
    """A number of topics, or a list of them: a list with a fault is a list."""
    text = "simulation: {fleets: [{name: a, topics: [{name: t, partitions: 9999999}, {nam: u}]}]}\n"
    paths = [line.split(": ")[1] for line in said(text).splitlines()]
    assert sorted(paths) == [
        "simulation.fleets[0].topics[0].partitions",
        "simulation.fleets[0].topics[1].nam",
        "simulation.fleets[0].topics[1].name",
    ]
