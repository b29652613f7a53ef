"""Whether the topic of the samples can be reached."""

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from operators.schema.kafka import DebugLog
from operators.schema.msk_iam import NoCredentialsError
from sinks.kafka.settings import KafkaSettings

_TIMEOUT = 10.0


def probe(settings: KafkaSettings) -> str:
    """What was found, in words; nothing is written or created.

    Raises:
        OSError: the brokers cannot be reached, and why.
    """
    causes: list[str] = []
    config: dict[str, Any] = {
        **settings.client_config(),
        "error_cb": lambda error: causes.append(error.str()),
    }
    try:
        settings.check_credentials()
        admin = AdminClient(config, logger=DebugLog())
        topics = admin.list_topics(timeout=_TIMEOUT).topics
    except NoCredentialsError as error:
        raise OSError(f"{settings.bootstrap_servers}: {error}") from error
    except KafkaException as error:
        why = causes[-1] if causes else error.args[0].str()
        raise OSError(f"{settings.bootstrap_servers}: {why}") from error
    if settings.topic not in topics:
        return f"topic `{settings.topic}` is not there and will be created"
    return f"topic `{settings.topic}` has {len(topics[settings.topic].partitions)} partitions"
