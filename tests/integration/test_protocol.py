"""The protocol client on real brokers of each version, and against Kafka's own schemas."""

import asyncio
import json
import re
import zipfile
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

import pytest

from operators.protocol import Client, RequestError
from operators.protocol.messages import MESSAGES, RequestType
from tests.kafka.cluster import Kafka, KafkaCluster
from tests.kafka.jars import resolve_jars

T = TypeVar("T")

OWN = [message for message in MESSAGES.values() if message.module is None]
SINCE = {
    "ConsumerGroupDescribe": (3, 7),
    "ShareGroupDescribe": (4, 1),
    "StreamsGroupDescribe": (4, 1),
    "DescribeShareGroupOffsets": (4, 1),
}
"""The first version of Kafka that serves a request by default; all others are as old as 2.8."""


def run(kafka: Kafka, body: Callable[[Client], Awaitable[T]]) -> T:
    """What `body` gives for a client of a cluster."""

    async def with_client() -> T:
        client = Client("a-cluster", {"bootstrap.servers": kafka.bootstrap_servers})
        try:
            return await body(client)
        finally:
            await client.close()

    return asyncio.run(asyncio.wait_for(with_client(), 60.0))


async def ask_everything(client: Client) -> dict[str, Any]:
    """The answer to each request that the broker serves, with as little in it as may be."""
    metadata = await client.ask("Metadata", 10.0, topics=[])
    client.learn({b.node_id: (b.host, b.port) for b in metadata.brokers})
    (broker,) = client.brokers
    list_groups = await client.ask("ListGroups", 10.0, broker)
    group = MESSAGES["OffsetFetch"].classes()[0].OffsetFetchRequestGroup
    fields: dict[str, dict[str, Any]] = {
        "ListOffsets": {"replica_id": -1, "isolation_level": 0, "topics": []},
        "OffsetFetch": {"group_id": "g", "groups": [group(group_id="g", topics=None)]},
        "FindCoordinator": {"key": "g", "key_type": 0, "coordinator_keys": ["g"]},
        "DescribeGroups": {"groups": ["g"], "include_authorized_operations": True},
        "CreateTopics": {"topics": [], "validate_only": True},
        "DescribeConfigs": {"resources": []},
        "DescribeLogDirs": {"topics": None},
        "DescribeCluster": {},
        "ConsumerGroupDescribe": {"group_ids": ["g"]},
        "ShareGroupDescribe": {"group_ids": ["g"]},
        "StreamsGroupDescribe": {"group_ids": ["g"]},
        "DescribeShareGroupOffsets": {"groups": []},
    }
    found: dict[str, Any] = {"Metadata": metadata, "ListGroups": list_groups}
    for name, given in fields.items():
        if await client.version(name, 10.0, broker) is not None:
            found[name] = await client.ask(name, 10.0, broker, **given)
    return found


def check_everything(found: dict[str, Any], version: tuple[int, ...]) -> None:
    expected = {m for m in MESSAGES if version >= SINCE.get(m, (0,))}
    assert {*found} == expected - {"ApiVersions", "SaslHandshake", "SaslAuthenticate"}
    (broker,) = found["Metadata"].brokers
    (same,) = found["DescribeCluster"].brokers
    assert (broker.node_id, broker.port) == (same.broker_id, same.port)
    assert found["Metadata"].cluster_id == found["DescribeCluster"].cluster_id
    (group,) = found["DescribeGroups"].groups
    assert group.group_id == "g"
    assert len(found["DescribeLogDirs"].results) == 1


@pytest.mark.kafka
def test_each_request_is_answered(kafka: Kafka) -> None:
    """By the newest Kafka, in the highest version that both speak."""
    check_everything(run(kafka, ask_everything), (4, 3, 1))


@pytest.mark.kafka
@pytest.mark.slow
def test_each_request_is_answered_by_other_versions(other_kafka: KafkaCluster) -> None:
    """By those from 2.8 on, as far as they have it."""
    version = tuple(int(part) for part in other_kafka.version.split("."))
    check_everything(run(other_kafka, ask_everything), version)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_that_hangs_and_one_that_is_back(mended_kafka: KafkaCluster) -> None:
    """The connection is given up at the first deadline; soon after, another one answers."""
    cluster = mended_kafka

    async def body(client: Client) -> None:
        (broker,) = (await client.ask("Metadata", 10.0, topics=[])).brokers
        client.learn({broker.node_id: (broker.host, broker.port)})
        await client.ask("ListGroups", 10.0, broker.node_id)
        cluster.pause(1)
        both = [client.ask("ListGroups", 1.0, broker.node_id, lane=lane) for lane in (0, 1)]
        for failed in await asyncio.gather(*both, return_exceptions=True):
            assert isinstance(failed, RequestError)
            assert failed.error_class == "timeout"
        cluster.resume(1)
        await client.ask("ListGroups", 20.0, broker.node_id)
        cluster.kill(1)
        with pytest.raises(RequestError) as failure:
            await client.ask("ListGroups", 10.0)
        assert failure.value.error_class == "refused"
        await asyncio.to_thread(cluster.start, 1)
        await asyncio.to_thread(cluster.wait_until_up, 1)
        # It may be within the pause after a failure.
        deadline = monotonic() + 10.0
        while True:
            try:
                await client.ask("ListGroups", 10.0, broker.node_id)
                break
            except RequestError:
                assert monotonic() < deadline
                await asyncio.sleep(0.05)

    run(cluster, body)


def fields_of(schema: dict[str, Any]) -> Any:
    """What of a schema decides on bytes: names, types, versions; common parts in their place."""
    common = {one["name"]: one["fields"] for one in schema.get("commonStructs", ())}

    def flat(fields: list[dict[str, Any]]) -> list[Any]:
        found = []
        for field in fields:
            inner = field.get("fields") or common.get(field["type"].removeprefix("[]"))
            type_ = "int32" if field["type"] == "bitfield" else field["type"]
            kept = [field.get(k) for k in ("name", "versions", "nullableVersions", "tag")]
            found.append([type_, *kept, flat(inner) if inner else None])
        return found

    return schema["apiKey"], schema["flexibleVersions"], flat(schema["fields"])


@pytest.mark.kafka
@pytest.mark.parametrize("message", OWN, ids=[message.name for message in OWN])
def test_our_schemas_are_kafkas(message: RequestType) -> None:
    """Those in its own jar."""
    (jar,) = resolve_jars().glob("kafka-clients-*.jar")
    for ours in message.classes():
        with zipfile.ZipFile(jar) as opened:
            text = opened.read(f"common/message/{ours.name}.json").decode()
        theirs = json.loads(re.sub(r"(?m)^\s*//.*$", "", text))
        assert fields_of(ours._json) == fields_of(theirs)
        assert str(message.highest) in theirs["validVersions"]
