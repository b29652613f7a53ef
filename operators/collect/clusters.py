"""The entries of `clusters` in the config: each provider's settings lead to all that is its own."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from operators.collect.settings import ClusterSettings
from operators.rabbitmq.settings import RabbitSettings


def _provider(given: Any) -> str | None:
    """Whose settings are given; Kafka's where nothing says so."""
    if isinstance(given, dict):
        return str(given.get("provider", "kafka"))
    return getattr(given, "provider", None)


AnyCluster = Annotated[
    Annotated[ClusterSettings, Tag("kafka")] | Annotated[RabbitSettings, Tag("rabbitmq")],
    Discriminator(_provider),
]
"""What to collect from: `provider` says what it is."""
