"""GSSAPI against a real KDC and a real broker, where both and the package gssapi are installed."""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from operators.protocol import Client, RequestError
from tests.kafka import kerberos
from tests.kafka.cluster import KafkaCluster

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("gssapi") is None or not kerberos.is_installed(),
        reason="takes krb5-kdc and krb5-admin-server of Debian, and the package gssapi",
    ),
]


@pytest.fixture(scope="module")
def realm() -> Iterator[kerberos.Realm]:
    with kerberos.Realm() as realm, pytest.MonkeyPatch.context() as patched:
        for name, value in realm.environment.items():
            patched.setenv(name, value)
        yield realm


@pytest.fixture(scope="module")
def kerberos_kafka(realm: kerberos.Realm) -> Iterator[KafkaCluster]:
    keytab = realm.keytab("kafka/localhost")
    settings = {
        "sasl.enabled.mechanisms": "GSSAPI",
        "sasl.kerberos.service.name": "kafka",
        "listener.name.kerberos.gssapi.sasl.jaas.config": (
            "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true "
            f'keyTab="{keytab}" principal="kafka/localhost@{kerberos.REALM}";'
        ),
    }
    with KafkaCluster(listeners={"KERBEROS": "SASL_PLAINTEXT"}, settings=settings) as cluster:
        yield cluster


def properties(cluster: KafkaCluster, **more: str) -> dict[str, str]:
    port = cluster.bootstrap_of("KERBEROS").rpartition(":")[2]
    return {
        "bootstrap.servers": f"localhost:{port}",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "GSSAPI",
        **{f"sasl.kerberos.{name}": value for name, value in more.items()},
    }


async def brokers(given: dict[str, str]) -> list[int]:
    client = Client("a-cluster", given)
    try:
        answer = await client.ask("Metadata", 20.0, topics=[])
    finally:
        await client.close()
    return [broker.node_id for broker in answer.brokers]


def test_a_keytab_gets_in(realm: kerberos.Realm, kerberos_kafka: KafkaCluster) -> None:
    """A ticket is taken for it, beside whatever others have in the cache."""
    keytab = realm.keytab("mqpipe")
    given = properties(kerberos_kafka, keytab=keytab, principal=f"mqpipe@{kerberos.REALM}")
    assert asyncio.run(brokers(given)) == [1]


def test_who_has_no_ticket_learns_so(kerberos_kafka: KafkaCluster) -> None:
    """As an error of the class auth, in one line."""
    given = properties(kerberos_kafka, keytab="/dev/null/missing")
    with pytest.raises(RequestError) as refused:
        asyncio.run(brokers(given))
    assert refused.value.error_class == "auth", str(refused.value)
    assert "Kerberos" in str(refused.value)
    assert "\n" not in str(refused.value)
