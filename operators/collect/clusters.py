"""The entries of `clusters` in the config: each provider's settings lead to all that is its own."""

from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Discriminator, Tag

from operators.collect.settings import ClusterSettings
from operators.nats.settings import NatsSettings
from operators.rabbitmq.settings import RabbitSettings
from operators.schema.nearest import suggestion
from operators.schema.secrets import shown
from operators.schema.settings import MisfitError


def _provider(given: Any) -> str | None:
    """Whose settings are given; Kafka's where nothing says so."""
    if isinstance(given, dict):
        return str(given.get("provider", "kafka"))
    return getattr(given, "provider", None)


def _known(given: Any) -> Any:
    provider = _provider(given)
    if provider is not None and provider not in PROVIDERS:
        hint = suggestion(provider, PROVIDERS)
        raise MisfitError([(("provider",), f"no provider {shown(provider)}; {hint}")])
    return given


AnyCluster = Annotated[
    Annotated[ClusterSettings, Tag("kafka")]
    | Annotated[RabbitSettings, Tag("rabbitmq")]
    | Annotated[NatsSettings, Tag("nats")],
    Discriminator(_provider),
    BeforeValidator(_known),
]
"""What to collect from: `provider` says what it is."""

PROVIDERS = tuple(
    str(tag.tag) for member in get_args(get_args(AnyCluster)[0]) for tag in get_args(member)[1:]
)
"""What `provider` may say."""
