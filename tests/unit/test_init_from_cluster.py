"""A configuration that simulates what a cluster is like."""

from flows.cluster_shape import ClusterShape, GroupShape, TopicShape
from flows.config import Config
from flows.init_from_cluster import fleet_like
from flows.loading import parse
from operators.collect.settings import ClusterSettings
from operators.simulate.settings import FleetSettings

CLUSTER = ClusterSettings(name="prod", environment="staging", bootstrap_servers="b:9092")
SHAPE = ClusterShape(
    brokers=(1, 4),
    topics=(
        TopicShape("orders", 6, 2, 12.34567, 120),
        TopicShape("yes", 1, 1, None, None),
        TopicShape("idle", 3, 2, 0.0, None),
    ),
    groups=(GroupShape("billing", ("orders",), 3), GroupShape("dead", ("idle", "yes"), 0)),
)


def test_what_is_written_is_a_valid_configuration_of_a_fleet() -> None:
    """Names, counts and levels as measured; what could not be told is left to the presets."""
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
    topic = TopicShape("t" * 249, 1, 1, None, None)
    groups = tuple(GroupShape(name, (topic.name,), 1) for name in ("dev/app:1", "${x}", "$a"))
    text = fleet_like(CLUSTER, ClusterShape((1,), (topic,), groups))
    [fleet] = parse(Config, text, "written", {}).simulation.fleets
    assert isinstance(fleet.groups, tuple)
    assert [group.name for group in fleet.groups] == ["dev-app-1", "${x}", "$a"]
