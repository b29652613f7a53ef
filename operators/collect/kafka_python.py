"""One request of a broker's that librdkafka does not know, made by kafka-python.

kafka-python is the extra `log-dirs`. A connection is made for the request and driven by the thread
that calls, so that nothing of it is left afterwards, in whatever way it ends.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from typing import Any

from operators.collect.errors import CollectionError, Problem

MAX_ANSWER = 100 << 20
"""Bytes of an answer that is read: some 40 a partition."""

_NAMES = {
    "client.id": "client_id",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "ssl.crl.location": "ssl_crlfile",
}
"""librdkafka's properties, and kafka-python's settings that mean the same."""

_HOST_NAMES = "ssl.endpoint.identification.algorithm"
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_MATTERS = ("security.", "sasl.", "ssl.", "enable.ssl.")
"""How properties begin without which a connection does not come about or is not safe."""


def is_installed() -> bool:
    """Whether the extra is there, in a version that has what is used of it."""
    try:
        return find_spec("kafka.net.manager") is not None
    except ModuleNotFoundError:
        return False


def connection_settings(properties: Mapping[str, str]) -> dict[str, Any]:
    """kafka-python's settings for librdkafka's properties; how it tunes itself is left out.

    Raises:
        ValueError: a property that makes or guards the connection has no counterpart.
    """
    settings: dict[str, Any] = {"client_id": "mqpipe"}
    for name, value in properties.items():
        if name in _NAMES:
            settings[_NAMES[name]] = value
        elif name == _HOST_NAMES:
            settings["ssl_check_hostname"] = value != "none"
        elif name.startswith(_MATTERS):
            raise ValueError(f"log_dirs: `{name}` has no counterpart in kafka-python")
    for name in ("security_protocol", "sasl_mechanism"):
        if name in settings:
            settings[name] = settings[name].upper()
    mechanism = settings.get("sasl_mechanism", _MECHANISMS[0])
    if mechanism not in _MECHANISMS:
        known = ", ".join(_MECHANISMS)
        raise ValueError(f"log_dirs: works with {known}, and not with {mechanism}")
    return settings


def topic_sizes(address: str, settings: Mapping[str, Any], timeout: float) -> dict[str, int]:
    """Bytes in the log directories of the broker at `address` (`host:port`), by topic.

    Replicas that move to another directory are there twice. Blocks for at most `timeout` seconds,
    and for as long as a name takes to be resolved.

    Raises:
        CollectionError: the broker cannot be reached, does not answer, or does not permit it.
    """
    # What it logs, it raises too.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    from kafka.errors import for_code
    from kafka.protocol.admin import DescribeLogDirsRequest

    try:
        answer = _ask(address, settings, DescribeLogDirsRequest(topics=None), timeout)
    except Exception as error:  # whatever it is, it costs the sizes and nothing else
        raise CollectionError(_problem(error)) from error
    if not answer.results:
        # Up to version 2 of the answer that is how it says so.
        text = "not permitted; grant Describe on Cluster"
        raise CollectionError(Problem("authorization", text))
    sizes = Counter[str]()
    for directory in answer.results:
        if directory.error_code:
            why = for_code(directory.error_code).__name__
            raise CollectionError(Problem("unavailable", f"{directory.log_dir}: {why}"))
        for topic in directory.topics:
            sizes[topic.name] += sum(partition.partition_size for partition in topic.partitions)
    return dict(sizes)


def _ask(address: str, settings: Mapping[str, Any], request: Any, timeout: float) -> Any:
    """The answer of the broker at `address` to one request, within `timeout` seconds."""
    from kafka.net.manager import KafkaConnectionManager
    from kafka.net.selector import NetworkSelector

    milliseconds = 1000 * timeout
    more = {
        "bootstrap_servers": [address],
        "receive_message_max_bytes": MAX_ANSWER,
        "request_timeout_ms": milliseconds,
    }
    with (
        closing(NetworkSelector()) as loop,
        closing(KafkaConnectionManager(loop, **settings, **more)) as connections,
    ):

        async def ask() -> Any:
            (broker,) = connections.cluster.bootstrap_brokers()
            connection = await connections.get_connection(
                broker.node_id, refresh_metadata_on_err=False
            )
            return await connection.send_request(request)

        answer = loop.call_soon_with_future(ask)
        loop.poll(milliseconds, answer)
        if not answer.is_done:
            raise TimeoutError
        if answer.exception is not None:
            raise answer.exception
        return answer.value


def _problem(error: Exception) -> Problem:
    from kafka import errors

    late = errors.RequestTimedOutError | errors.KafkaTimeoutError | TimeoutError
    if isinstance(error, late) or "timed out" in str(error):
        return Problem("timeout", "no answer in time")
    if isinstance(error, errors.SaslAuthenticationFailedError):
        return Problem("auth", str(error))
    if isinstance(error, errors.KafkaConnectionError | OSError):
        return Problem("refused", str(error))
    return Problem("unknown", f"{type(error).__name__}: {error}")
