"""The Kafka sink."""

from sinks.delivery import Destination
from sinks.job import JobContext
from sinks.kafka.settings import NAME, KafkaSettings
from sinks.sink import ReadableTopic, Sink
from sinks.spool.network import NetworkSink, network_sink


def kafka_sink(settings: KafkaSettings) -> Sink:
    """Messages of one batch each in a topic."""

    def destination(_job: JobContext) -> Destination:
        from sinks.kafka.destination import Kafka

        return Kafka(settings)

    def probed(_job: JobContext) -> str:
        from sinks.kafka.probe import probe

        return probe(settings)

    return network_sink(
        NetworkSink(
            NAME,
            settings.topic,
            settings.spool,
            destination,
            probed,
            readable=ReadableTopic(settings, settings.topic),
        )
    )
