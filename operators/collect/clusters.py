"""The entries of `clusters` in the config: each provider's settings lead to all that is its own."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from operators.collect.settings import ClusterSettings
from operators.rabbitmq.settings import RabbitSettings
from operators.schema.nearest import suggestion
from operators.schema.secrets import shown
from operators.schema.settings import MisfitError

_PROVIDERS = ("kafka", "rabbitmq")


def _provider(given: Any) -> str | None:
    """Whose settings are given; Kafka's where nothing says so."""
    if isinstance(given, dict):
        return str(given.get("provider", "kafka"))
    return getattr(given, "provider", None)


def _known(given: Any) -> Any:
    provider = _provider(given)
    if provider is not None and provider not in _PROVIDERS:
        hint = suggestion(provider, _PROVIDERS)
        raise MisfitError([(("provider",), f"no provider {shown(provider)}; {hint}")])
    return given


AnyCluster = Annotated[
    Annotated[ClusterSettings, Tag("kafka")] | Annotated[RabbitSettings, Tag("rabbitmq")],
    Discriminator(_provider),
    BeforeValidator(_known),
]
"""What to collect from: `provider` says what it is."""
