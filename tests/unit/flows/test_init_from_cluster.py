"""A configuration that simulates what a cluster is like."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.cluster_shape import (
    ClusterShape,
    MeasuredGroup,
    MeasuredQueue,
    MeasuredTopic,
    QueuesShape,
)
from flows.config import Config
from flows.errors import CommandError
from flows.init_from_cluster import checked, fleet_like, queues_like
from flows.loading import parse
from operators.collect.settings import ClusterSettings
from operators.rabbitmq.settings import RabbitSettings
from operators.simulate.settings import FleetSettings

CLUSTER = ClusterSettings(name="prod", environment="staging", bootstrap_servers="b:9092")
SHAPE = ClusterShape(
    brokers=(1, 4),
    topics=(
        MeasuredTopic("orders", 6, 2, 12.34567, 120),
        MeasuredTopic("yes", 1, 1, None, None),
        MeasuredTopic("idle", 3, 2, 0.0, None),
    ),
    groups=(MeasuredGroup("billing", ("orders",), 3), MeasuredGroup("dead", ("idle", "yes"), 0)),
)


def test_what_is_written_is_a_valid_configuration_of_a_fleet() -> None:
    """Names, counts and levels as measured; what could not be measured is left to the presets."""
    config = parse(Config, fleet_like(CLUSTER, SHAPE), "written", {})
    expected = FleetSettings.model_validate(
        {
            "name": "sim-prod",
            "environment": "staging",
            "brokers": [1, 4],
            "topics": [
                {
                    "name": "orders",
                    "partitions": 6,
                    "replication_factor": 2,
                    "messages_per_second": 12.346,
                    "message_size": 120,
                },
                {"name": "yes", "partitions": 1, "replication_factor": 1},
                {
                    "name": "idle",
                    "partitions": 3,
                    "replication_factor": 2,
                    "messages_per_second": 0.0,
                },
            ],
            "groups": [
                {"name": "billing", "topics": ["orders"], "consumers": 3},
                {"name": "dead", "topics": ["idle", "yes"]},
            ],
            "pattern": "constant",
        }
    )
    assert config.simulation.fleets == (expected,)


def test_names_that_a_fleet_may_not_have_are_changed() -> None:
    """Kafka lets a group be called anything; what is written can be read again."""
    topic = MeasuredTopic("t" * 249, 1, 1, None, None)
    groups = tuple(MeasuredGroup(name, (topic.name,), 1) for name in ("dev/app:1", "${x}", "$a"))
    text = fleet_like(CLUSTER, ClusterShape((1,), (topic,), groups))
    [fleet] = parse(Config, text, "written", {}).simulation.fleets
    assert isinstance(fleet.groups, tuple)
    assert [group.name for group in fleet.groups] == ["dev-app-1", "${x}", "$a"]


def groups_of(names: list[str]) -> list[str]:
    topic = MeasuredTopic("orders", 1, 1, None, None)
    groups = tuple(MeasuredGroup(name, (topic.name,), 1) for name in names)
    text = checked(fleet_like(CLUSTER, ClusterShape((1,), (topic,), groups)), "prod")
    [fleet] = parse(Config, text, "written", {}).simulation.fleets
    assert isinstance(fleet.groups, tuple)
    return [group.name for group in fleet.groups]


def test_names_that_become_one_are_told_apart() -> None:
    """And a name that a fleet may have stays as it is, whatever stands before it."""
    assert groups_of(["a/b", "a:b", "a-b", "a-b-2", "", "unnamed"]) == [
        "a-b-3",
        "a-b-4",
        "a-b",
        "a-b-2",
        "unnamed-2",
        "unnamed",
    ]


def test_long_names_are_cut_and_stay_their_own() -> None:
    """Kafka's groups may have any length."""
    long = groups_of(["x" * 300, "x" * 301, "x" * 249])
    assert [len(name) for name in long] == [249, 249, 249]
    assert len(set(long)) == 3


@given(
    cluster=st.text(min_size=1, max_size=40),
    groups=st.lists(st.text(st.characters()), unique=True, max_size=12),
    messages=st.floats(0, 1e9),
    size=st.integers(1, 2**40),
)
@example("集" * 20, ["\ud800", "\0", "$", "${x}", "\r\n\x1b[31m", "yes", "~"], 1.0, 1)
def test_what_is_written_is_never_refused(
    cluster: str, groups: list[str], messages: float, size: int
) -> None:
    """Or nothing is written, and why is said."""
    try:
        settings = ClusterSettings(name=cluster, bootstrap_servers="b:1", environment=cluster)
    except ValidationError:
        return
    topic = MeasuredTopic("orders", 1, 1, messages, size)
    shapes = tuple(MeasuredGroup(name, (topic.name,), 1) for name in groups)
    try:
        text = checked(fleet_like(settings, ClusterShape((1,), (topic,), shapes)), cluster)
    except CommandError as error:
        assert "than can be counted" in str(error)  # noqa: PT017
        return
    [fleet] = parse(Config, text, "written", {}).simulation.fleets
    assert isinstance(fleet.groups, tuple)
    assert len(fleet.groups) == len(groups)


def test_a_cluster_that_no_fleet_can_be_like_is_said() -> None:
    """And no file is written that `check` refuses."""
    topic = MeasuredTopic("orders", 3_000_000, 1, None, None)
    with pytest.raises(CommandError, match=r"nothing was written; .*\n.* holds no more partitions"):
        checked(fleet_like(CLUSTER, ClusterShape((1,), (topic,), ())), "prod")


def test_a_rabbitmq_becomes_a_fleet_of_its_nodes_and_queues() -> None:
    """Names, types, levels and sizes as measured; a stream and what never was used by the presets."""
    cluster = RabbitSettings.model_validate(
        {
            "name": "shop",
            "provider": "rabbitmq",
            "url": "http://r:15672",
            "user": "u",
            "password": "p",
        }
    )
    shape = QueuesShape(
        3,
        (
            MeasuredQueue("orders", "quorum", 12.34567, 700),
            MeasuredQueue("eu/west/orders", "classic", 0.0, None),
            MeasuredQueue("log", "stream", None, None),
        ),
    )
    text = checked(queues_like(cluster, shape), "shop")
    expected = FleetSettings.model_validate(
        {
            "name": "sim-shop",
            "provider": "rabbitmq",
            "nodes": 3,
            "queues": [
                {
                    "name": "orders",
                    "messages_per_second": 12.346,
                    "message_size": 700,
                    "type": "quorum",
                },
                {"name": "eu-west-orders", "messages_per_second": 0.0, "type": "classic"},
                {"name": "log", "type": "stream"},
            ],
            "pattern": "constant",
        }
    )
    assert parse(Config, text, "written", {}).simulation.fleets == (expected,)
