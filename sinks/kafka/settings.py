"""The settings of the Kafka sink."""

from typing import TYPE_CHECKING

from pydantic import Field

from operators.schema.kafka import KafkaConnection
from operators.schema.settings import part
from sinks.spool.settings import SpoolSettings

if TYPE_CHECKING:
    from sinks.sink import Sink

NAME = "kafka"
"""Of the sink: its key in the configuration, and its step in the dataflow."""

MESSAGE_BYTES = 1_000_000
"""The most bytes of a message where nothing else is said: librdkafka's default, under Kafka's."""


class KafkaSettings(KafkaConnection):
    """Delivery to a Kafka topic, from which `mqpipe replay` reads."""

    topic: str = Field(
        default="mqpipe.samples",
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="topic of the samples; created where it is absent",
    )
    partitions: int = Field(
        default=8, gt=0, le=100_000, description="partitions of the topic where mqpipe creates it"
    )
    spool: SpoolSettings = part("where samples wait for their delivery")

    def sink(self) -> "Sink":
        """The sink of these settings."""
        from sinks.kafka.sink import kafka_sink

        return kafka_sink(self)

    @property
    def message_bytes(self) -> int:
        """The most bytes of a message: the client's `message.max.bytes`."""
        return int(self.client_config().get("message.max.bytes", MESSAGE_BYTES))
