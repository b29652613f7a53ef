"""Collection through SASL and TLS, and what it says where it may not or cannot get in."""

import asyncio
from typing import Any

import pytest

from operators.collect.check import missing_permissions
from operators.collect.cluster_collector import ClusterCollector
from operators.collect.errors import CollectionError
from operators.collect.settings import ClusterSettings
from operators.schema.metrics import BROKER, CONSUMER_GROUP, TOPIC
from operators.ticks import Ticks
from tests.integration.collected_rows import collect_once, rows_of, secured_settings
from tests.kafka.security import ADMIN, LIMITED, SecuredKafka
from tests.kafka.tokens import CLIENT, SECRET, TokenEndpoint
from tests.kafka.workload import commit, create_topic
from tests.ports import PortClaim

pytestmark = pytest.mark.kafka

ACLS = "org.apache.kafka.tools.AclCommand"


def failure_of(settings: ClusterSettings) -> CollectionError:
    """The error with which a tick of the brokers fails."""

    async def run() -> None:
        collector = ClusterCollector(settings)
        try:
            await collector.collect(Ticks("real", 0, 30_000, kind="brokers"), 12.0)
        finally:
            await collector.close()

    with pytest.raises(CollectionError) as failed:
        asyncio.run(run())
    return failed.value


@pytest.mark.parametrize(
    ("listener", "mechanism"),
    [
        ("SASL", "PLAIN"),
        ("SASL", "SCRAM-SHA-512"),
        ("SASL_TLS", "SCRAM-SHA-512"),
        ("TLS", ""),
        ("MTLS", ""),
    ],
)
def test_every_kind_of_listener_is_collected_from(
    secured_kafka: SecuredKafka, listener: str, mechanism: str
) -> None:
    """SASL PLAIN, SCRAM, TLS and mutual TLS get in by librdkafka's own properties."""
    client = secured_kafka.client(listener, mechanism=mechanism)
    topic = create_topic(secured_kafka.cluster, 1)
    found = collect_once(secured_settings(client))
    assert topic in [r["topic"] for r in rows_of(found["topics"], TOPIC)]
    assert [collected.error for collected in found.values()] == [None, None, None]


@pytest.mark.parametrize(
    ("listener", "change", "error_class", "says"),
    [
        ("SASL", {"sasl.password": "wrong"}, "auth", "sasl.password"),
        ("SASL", {"sasl.mechanism": "SCRAM-SHA-256"}, "auth", "sasl.mechanism"),
        ("SASL_TLS", {"ssl.ca.location": "untrusted"}, "tls", "ssl.ca.location"),
        ("MTLS", {"ssl.keystore.location": "", "ssl.keystore.password": ""}, "tls", "certificate"),
        ("SASL", {"security.protocol": "PLAINTEXT"}, "refused", "security.protocol"),
    ],
)
def test_a_wrong_client_gets_one_clear_line(
    secured_kafka: SecuredKafka,
    listener: str,
    change: dict[str, str],
    error_class: str,
    says: str,
) -> None:
    """The class and the property to look at, and never the password."""
    client = {**secured_kafka.client(listener), **change}
    if change.get("ssl.ca.location"):
        client["ssl.ca.location"] = secured_kafka.untrusted_ca
    error = failure_of(secured_settings({name: value for name, value in client.items() if value}))
    assert (error.error_class, says in str(error)) == (error_class, True), str(error)
    assert "\n" not in str(error)
    assert client.get("sasl.password", "a-secret-of-tests") not in str(error)


def oauth_client(secured_kafka: SecuredKafka, endpoint: str, secret: str = SECRET) -> Any:
    """A client that asks a token endpoint for its token."""
    client = secured_kafka.client("SASL", mechanism="OAUTHBEARER")
    del client["sasl.username"], client["sasl.password"]
    return {
        **client,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": CLIENT,
        "sasl.oauthbearer.client.secret": secret,
        "sasl.oauthbearer.token.endpoint.url": endpoint,
    }


def test_a_token_of_an_endpoint_gets_in(secured_kafka: SecuredKafka) -> None:
    """OAUTHBEARER: the client asks for its token, and the broker knows whose it is."""
    topic = create_topic(secured_kafka.cluster, 1)
    with TokenEndpoint(ADMIN) as endpoint:
        found = collect_once(secured_settings(oauth_client(secured_kafka, endpoint.url)))
    assert topic in [r["topic"] for r in rows_of(found["topics"], TOPIC)]
    assert [collected.error for collected in found.values()] == [None, None, None]


@pytest.mark.parametrize(
    ("fault", "says"), [("refused", "Connection refused"), ("secret", "invalid_client")]
)
def test_a_token_that_cannot_be_had_is_said(
    secured_kafka: SecuredKafka, fault: str, says: str
) -> None:
    """The endpoint that does not answer, or does not know the client; never the secret."""
    with TokenEndpoint(ADMIN) as endpoint, PortClaim() as claim:
        url = f"http://127.0.0.1:{claim.port}/token" if fault == "refused" else endpoint.url
        secret = "wrong-secret" if fault == "secret" else SECRET
        error = failure_of(secured_settings(oauth_client(secured_kafka, url, secret)))
    assert error.error_class == "auth", str(error)
    assert "sasl.oauthbearer" in str(error)
    assert says in str(error), str(error)
    assert secret not in str(error)
    assert "\n" not in str(error)


def test_a_missing_permission_is_named_and_the_rest_is_collected(
    secured_kafka: SecuredKafka,
) -> None:
    """First nothing may be described; then the topic; then the cluster; then the group."""
    cluster = secured_kafka.cluster
    topic = create_topic(cluster, 1)
    group = f"group-{topic}"
    commit(cluster, topic, group, [0])
    settings = secured_settings(
        secured_kafka.client("SASL", user=LIMITED),
        expect={"topics": [topic], "groups": [group]},
        log_dirs=True,
    )

    def allow(*resource: str) -> None:
        cluster.tool(
            ACLS,
            "--add",
            "--allow-principal",
            f"User:{LIMITED}",
            "--operation",
            "Describe",
            *resource,
        )

    def lacks() -> list[str]:
        problems = asyncio.run(missing_permissions(settings, 10.0))
        assert {p.error_class for p in problems} <= {"authorization"}
        return [p.text.rpartition("grant ")[2] for p in problems]

    on_cluster = "Describe on Cluster, and Describe on the groups"
    on_topic, on_group = f"Describe on Topic {topic}", f"Describe on Group {group}"

    found = collect_once(settings)
    assert len(rows_of(found["brokers"], BROKER)) == 1
    assert found["brokers"].error is None
    assert topic not in [r["topic"] for r in rows_of(found["topics"], TOPIC)]
    assert found["groups"].error_class == "authorization"
    assert on_cluster in (found["groups"].error or "")
    no_log_dirs = "log directories of broker 1"
    assert no_log_dirs in (found["topics"].error or "")
    assert "grant Describe on Cluster" in (found["topics"].error or "")
    assert lacks() == [on_cluster, on_topic, on_group]

    allow("--topic", topic)
    found = collect_once(settings)
    assert topic in [r["topic"] for r in rows_of(found["topics"], TOPIC)]
    assert lacks() == [on_cluster, on_group]

    allow("--cluster")
    found = collect_once(settings)
    assert no_log_dirs not in (found["topics"].error or "")
    # It is listed now, and so its state is known, but not what it has committed.
    (row,) = rows_of(found["groups"], CONSUMER_GROUP)
    assert (row["consumer_group"], row["consumerGroup.state"]) == (group, "Empty")
    assert row["consumerGroup.totalLag"] is None
    assert found["groups"].error_class == "authorization"
    assert on_group in (found["groups"].error or "")
    assert topic in [r["topic"] for r in rows_of(found["topics"], TOPIC)]
    assert lacks() == [on_group]

    allow("--group", group)
    found = collect_once(settings)
    assert found["groups"].error is None
    assert [r["consumer_group"] for r in rows_of(found["groups"], CONSUMER_GROUP)] == [group]
    assert lacks() == []
