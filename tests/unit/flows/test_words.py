"""What a wrong configuration is told: how it is written right."""

import pytest

from flows.config import Config
from flows.errors import ConfigError
from flows.loading import parse


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sinks: {parquet: ./samples}", "keys with values, such as `parquet: {path: …}`"),
        ("simulation: {fleets: [{name: no}]}", "true and false: write it in quotes"),
        ("", "c.yaml: is empty: `mqpipe init` writes"),
        ("# nothing yet\n", "c.yaml: is empty: `mqpipe init` writes"),
        ("---\n", "c.yaml: is empty: `mqpipe init` writes"),
        (
            "simulation: {fleets: [{name: a, groups: [{name: g, topics: []}]}]}",
            "groups[0].topics: has 0, and needs 1 at least",
        ),
        (
            "simulation: {anomalies: [{kind: spike, entity: a, start: tomorrow}]}",
            "not a time: 'tomorrow'; write ISO 8601 (2026-01-31T10:00:00Z)",
        ),
        (
            "simulation: {fleets: [{name: a, time_zone: Europe/Berln}]}",
            "no time zone `Europe/Berln`; did you mean `Europe/Berlin`?",
        ),
    ],
)
def test_a_wrong_value_is_answered_by_how_it_is_written(text: str, says: str) -> None:
    """Without repeating what may be a secret."""
    with pytest.raises(ConfigError) as wrong:
        parse(Config, text, "c.yaml")
    assert says in str(wrong.value)


@pytest.mark.parametrize(
    "start", ['"2026-01-01T10:00:00"', "2026-01-01 10:00:00", '"2026-01-01T11:00:00+01:00"']
)
def test_a_time_without_a_zone_is_utc(start: str) -> None:
    """As on the command line, whether YAML takes it for a time or for text."""
    text = f"simulation: {{fleets: [{{name: a}}], anomalies: [{{kind: spike, entity: a/orders, start: {start}}}]}}"
    (anomaly,) = parse(Config, text, "c.yaml").simulation.anomalies
    assert anomaly.start is not None
    assert anomaly.start.timestamp() == 1_767_261_600


def test_what_is_only_a_consequence_is_not_reported() -> None:
    """A list of one wrong name has none that is right, which is no fault of its own."""
    text = "simulation: {fleets: [{name: a, groups: [{name: g, topics: [on]}]}]}"
    with pytest.raises(ConfigError) as wrong:
        parse(Config, text, "c.yaml")
    assert "topics[0]: must be text" in str(wrong.value)
    assert "at least" not in str(wrong.value)
