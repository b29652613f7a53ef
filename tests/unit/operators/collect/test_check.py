"""What is expected of a cluster is held against what it has."""

from operators.collect.check import missing_entities
from operators.collect.settings import ClusterSettings

SETTINGS = ClusterSettings.model_validate(
    {
        "name": "prod",
        "bootstrap_servers": "b:9092",
        "expect": {"brokers": [1, 4], "topics": ["orders", "pyments"], "groups": ["billing"]},
    }
)


def test_what_is_not_there_is_named_with_the_nearest_that_is() -> None:
    """A line each; what is there has none."""
    lines = missing_entities(SETTINGS, {1, 2}, {"orders", "payments"}, set())
    assert lines == [
        "expect: there is no broker `4`; there are 1, 2",
        "expect: there is no topic `pyments`; did you mean `payments`?",
        "expect: there is no group `billing`; there are none",
    ]


def test_where_all_is_there_nothing_is_said() -> None:
    """However much else there is."""
    there = {"orders", "pyments", "more"}
    assert missing_entities(SETTINGS, {1, 4, 9}, there, {"billing", "b"}) == []
