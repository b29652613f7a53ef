"""What the ends of a Kafka connection share: its settings, and what a message of samples is.

A message is one batch of samples of one cluster and entity type, as `ipc.encode` gives it. Its
key is the cluster, its timestamp the first tick's, and it spans at most `MESSAGE_SPAN`.
"""

import logging
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from operators.schema.librdkafka import misfits
from operators.schema.msk_iam import check_credentials, for_librdkafka, why_not
from operators.schema.settings import MisfitError, Settings

SCHEMA_VERSION_HEADER = "mqpipe.schema_version"
ENTITY_TYPE_HEADER = "mqpipe.entity_type"

MESSAGE_SPAN = 3_600_000
"""Milliseconds from a message's first tick within which all its samples lie.

So whoever looks for samples from a time on finds them in messages from that time less this on.
"""

BOOTSTRAP_SERVERS = r"^\s*[^\s,]+(\s*,\s*[^\s,]+)*\s*$"
"""Pattern of `host:port`, with commas between several."""


def _property(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Property = Annotated[
    SecretStr, BeforeValidator(_property, json_schema_input_type=str | int | float | bool)
]
"""The value of a librdkafka property. Any of them may be a secret, so none is ever shown."""


class KafkaAccess(Settings):
    """How a Kafka cluster is reached, by whatever client."""

    bootstrap_servers: str = Field(
        pattern=BOOTSTRAP_SERVERS,
        description="some of its brokers: `host:port`, with commas between",
    )
    client: dict[str, Property] = Field(
        default_factory=dict,
        description="how its brokers are reached: librdkafka's properties, such as `security.protocol`",
    )

    @property
    def client_properties(self) -> dict[str, str]:
        """What `client` says, in clear: for clients, never to be shown."""
        return {name: value.get_secret_value() for name, value in self.client.items()}

    @property
    def properties(self) -> dict[str, str]:
        """The same, and where the brokers are."""
        return {**self.client_properties, "bootstrap.servers": self.bootstrap_servers}


class KafkaConnection(KafkaAccess):
    """How a Kafka cluster is reached by librdkafka's clients."""

    @model_validator(mode="after")
    def _properties_are_librdkafkas(self) -> Self:
        if found := misfits(self.client_properties):
            raise MisfitError(found)
        return self

    @model_validator(mode="after")
    def _mechanism_has_what_it_takes(self) -> Self:
        lacking = why_not(self.client_properties)
        if lacking is not None:
            raise MisfitError([(("client", "sasl.mechanism"), lacking)])
        return self

    def client_config(self) -> dict[str, Any]:
        """What librdkafka's clients are made with, in clear: never to be shown."""
        return for_librdkafka(self.properties)

    def check_credentials(self) -> None:
        """Nothing, where a client has what to log in with. It may ask the network, so it blocks.

        Raises:
            NoCredentialsError: the mechanism signs, and there is nothing to sign with.
        """
        check_credentials(self.properties)


class DebugLog:
    """A logger as librdkafka's binding calls it, which logs everything at debug level.

    What librdkafka's lines report is in the errors that it returns too.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger("librdkafka")

    def log(self, _level: int, message: str, *args: Any) -> None:
        """Log one line."""
        self._logger.debug(message, *args)
