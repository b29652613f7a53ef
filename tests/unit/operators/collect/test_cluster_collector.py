"""What a cluster's collector says of a cluster of which nothing came."""

import asyncio

import pytest

from operators.collect.cluster_collector import ClusterCollector
from operators.collect.errors import CollectionError
from operators.collect.settings import ClusterSettings
from operators.ticks import KAFKA_KINDS, Ticks
from tests.unit.operators.protocol.broker import Asked, broker


@pytest.mark.parametrize("kind", KAFKA_KINDS)
@pytest.mark.parametrize(
    ("sent", "error_class", "says"),
    [
        (b"", "timeout", "not connected in time"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "garbage", "does not speak Kafka's protocol"),
    ],
)
def test_each_kind_says_why_its_cluster_was_not_read(
    kind: str, sent: bytes, error_class: str, says: str
) -> None:
    """And not that its time is over: what was asked besides waited for the same broker."""

    async def anything(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    async def run() -> None:
        async with broker(anything, versions=False) as there:
            address = there.properties["bootstrap.servers"]
            settings = ClusterSettings.model_validate({"name": "k", "bootstrap_servers": address})
            collector = ClusterCollector(settings)
            try:
                await collector.collect(Ticks("k", 0, 1000, kind=kind), 1.0)
            finally:
                await collector.close()

    with pytest.raises(CollectionError) as failed:
        asyncio.run(run())
    assert (failed.value.error_class, says in str(failed.value)) == (error_class, True), failed
