"""The Kafka sink of a dataflow."""

from collections.abc import Callable

from sinks.dead_letters import DeadLetters
from sinks.delivery import Patience
from sinks.events import Listener, nobody
from sinks.kafka.sender import Kafka
from sinks.kafka.settings import KafkaSettings
from sinks.spool.sink import SpooledSink, spooled_sink


def kafka_sink(
    settings: KafkaSettings,
    dead_letters: DeadLetters,
    listener: Listener = nobody,
    grace_left: Callable[[], float] = lambda: 0.0,
    patience: Patience = Patience(),  # noqa: B008 - immutable
) -> SpooledSink:
    """The Kafka sink: takes `(cluster_name, batch)` items.

    `grace_left` says how many seconds of a drain are left.
    """
    return spooled_sink(
        Kafka(settings), settings.spool, dead_letters, listener, grace_left, patience
    )
