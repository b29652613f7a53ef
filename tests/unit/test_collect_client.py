"""A cluster's connections: made when needed, given up without a wait."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from operators.collect import client as client_module
from operators.collect.client import KafkaClient
from operators.collect.errors import CollectionError


class NobodyThere:
    """Stands in for AdminClient: no request succeeds. Tells which thread drops it."""

    dropped_by: int | None = None
    dropped = threading.Event()

    def __init__(self, config: Mapping[str, Any], logger: object) -> None:
        pass

    def poll(self, timeout: float) -> int:
        return 0

    def list_topics(self, timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "nobody there"))

    def __del__(self) -> None:
        NobodyThere.dropped_by = threading.get_ident()
        NobodyThere.dropped.set()


def test_connections_that_are_given_up_end_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """librdkafka's end may take tens of seconds, while a name server hangs."""
    monkeypatch.setattr(client_module, "AdminClient", NobodyThere)

    async def run() -> None:
        client = KafkaClient("real", {"bootstrap.servers": "nowhere:9092"})
        with pytest.raises(CollectionError):
            await client.topology(1.0)
        client.retire()
        gc.collect()
        await asyncio.to_thread(NobodyThere.dropped.wait, 30)
        await client.close()

    asyncio.run(run())
    assert NobodyThere.dropped_by != threading.get_ident()


KEPT_TO_THE_END = """
from operators.collect.connection import Connection

kept = Connection(object())
"""


def test_connections_that_are_left_at_the_end_do_not_keep_the_process() -> None:
    """The interpreter drops them when no thread begins any more."""
    subprocess.run([sys.executable, "-c", KEPT_TO_THE_END], check=True, timeout=60)
