"""The Kafka sink."""

from sinks.kafka.destination import Kafka
from sinks.kafka.probe import probe
from sinks.kafka.settings import KafkaSettings
from sinks.sink import Sink
from sinks.spool.network import network_sink


def kafka_sink(settings: KafkaSettings) -> Sink:
    """Messages of one batch each in a topic."""
    return network_sink(
        Kafka.name,
        settings.topic,
        settings.spool,
        lambda _job: Kafka(settings),
        lambda _job: probe(settings),
    )
