"""The protocol client through SASL and TLS, on a real broker."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from operators.protocol import Client, RequestError
from tests.kafka.security import ADMIN, LIMITED, PASSWORD, SHORT_SESSION, SecuredKafka
from tests.kafka.tokens import CLIENT, SECRET, TokenEndpoint
from tests.ports import PortClaim

pytestmark = pytest.mark.kafka

T = TypeVar("T")

PEM = serialization.Encoding.PEM


def run(properties: dict[str, str], body: Callable[[Client], Awaitable[T]]) -> T:
    """What `body` gives for a client of these properties."""

    async def with_client() -> T:
        client = Client("a-cluster", properties)
        try:
            return await body(client)
        finally:
            await client.close()

    return asyncio.run(with_client())


async def brokers(client: Client) -> list[int]:
    """The ids of the brokers that the cluster names."""
    answer = await client.ask("Metadata", 10.0, topics=[])
    return [broker.node_id for broker in answer.brokers]


def failure_of(properties: dict[str, str]) -> RequestError:
    """Why a client does not get in."""
    with pytest.raises(RequestError) as failed:
        run(properties, brokers)
    assert "\n" not in str(failed.value)
    assert PASSWORD not in str(failed.value)
    return failed.value


@pytest.mark.parametrize(
    ("listener", "mechanism", "user"),
    [
        ("SASL", "PLAIN", ADMIN),
        ("SASL", "SCRAM-SHA-512", LIMITED),
        ("SASL_TLS", "SCRAM-SHA-512", ADMIN),
        ("TLS", "", ""),
        ("MTLS", "", ""),
    ],
)
def test_it_gets_in_by_librdkafkas_properties(
    secured_kafka: SecuredKafka, listener: str, mechanism: str, user: str
) -> None:
    """PLAIN, SCRAM, TLS, and a certificate in PKCS#12."""
    properties = secured_kafka.client(listener, mechanism=mechanism, user=user)
    assert run(properties, brokers) == [1]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_name_of_scram_may_hold_what_its_messages_are_made_of(
    secured_kafka: SecuredKafka, mechanism: str
) -> None:
    """Commas and equals signs are escaped; both hashes."""
    name = f"odd=name,of=tests-{mechanism}"
    kind = getattr(ScramMechanism, mechanism.replace("-", "_"))
    wanted = UserScramCredentialUpsertion(name, ScramCredentialInfo(kind, 4096), PASSWORD.encode())
    admin = AdminClient({"bootstrap.servers": secured_kafka.cluster.bootstrap_servers})
    admin.alter_user_scram_credentials([wanted])[name].result(10.0)
    listener = "SHORT" if mechanism == "SCRAM-SHA-256" else "SASL"
    properties = secured_kafka.client(listener, mechanism=mechanism, user=name)
    assert run(properties, brokers) == [1]


def pem_parts(secured_kafka: SecuredKafka) -> tuple[str, str, str]:
    """A client's certificate, its key, and its key encrypted by the password."""
    store = Path(secured_kafka.client("MTLS")["ssl.keystore.location"]).read_bytes()
    key, certificate, _ = pkcs12.load_key_and_certificates(store, PASSWORD.encode())
    assert key is not None
    assert certificate is not None
    pkcs8 = serialization.PrivateFormat.PKCS8
    plain = key.private_bytes(PEM, pkcs8, serialization.NoEncryption())
    secret = serialization.BestAvailableEncryption(PASSWORD.encode())
    encrypted = key.private_bytes(PEM, pkcs8, secret)
    return certificate.public_bytes(PEM).decode(), plain.decode(), encrypted.decode()


@pytest.mark.parametrize("given", ["files", "encrypted", "inline"])
def test_a_certificate_may_be_given_in_each_way(
    secured_kafka: SecuredKafka, tmp_path: Path, given: str
) -> None:
    """PEM files, a key with a password, and both in the configuration itself."""
    properties = secured_kafka.client("MTLS")
    del properties["ssl.keystore.location"], properties["ssl.keystore.password"]
    certificate, key, encrypted = pem_parts(secured_kafka)
    if given == "inline":
        ca = Path(properties.pop("ssl.ca.location")).read_text()
        properties |= {
            "ssl.ca.pem": ca,
            "ssl.certificate.pem": certificate,
            "ssl.key.pem": encrypted,
            "ssl.key.password": PASSWORD,
        }
    else:
        (tmp_path / "certificate.pem").write_text(certificate)
        (tmp_path / "key.pem").write_text(key if given == "files" else encrypted)
        properties |= {
            "ssl.certificate.location": str(tmp_path / "certificate.pem"),
            "ssl.key.location": str(tmp_path / "key.pem"),
        }
        if given == "encrypted":
            properties["ssl.key.password"] = PASSWORD
    assert run(properties, brokers) == [1]


PLAIN = {"sasl.mechanism": "PLAIN", "sasl.username": "who", "sasl.password": "what"}


@pytest.mark.parametrize(
    ("listener", "change", "error_class", "says"),
    [
        ("SASL", {"sasl.password": "wrong"}, "auth", "SCRAM-SHA-512"),
        ("SASL", {"sasl.mechanism": "SCRAM-SHA-256"}, "auth", "it takes"),
        ("SASL_TLS", {"ssl.ca.location": "untrusted"}, "tls", "not trusted"),
        ("SASL_TLS", {"security.protocol": "SASL_PLAINTEXT"}, "tls", "answers in TLS"),
        ("SASL", {"security.protocol": "SASL_SSL"}, "tls", "does the listener speak TLS?"),
        ("MTLS", {"ssl.keystore.location": "", "ssl.keystore.password": ""}, "tls", "certificate"),
        ("SASL", {"security.protocol": "PLAINTEXT"}, "refused", "as soon as it was spoken to"),
        ("TLS", {**PLAIN, "security.protocol": "SASL_SSL"}, "auth", "this listener has no SASL"),
        ("TLS", {"ssl.ca.location": "/nowhere.pem"}, "config", "ssl.ca.location: No such file"),
        ("MTLS", {"ssl.keystore.password": "wrong"}, "config", "ssl.keystore.location"),
    ],
)
def test_who_does_not_get_in_learns_why(
    secured_kafka: SecuredKafka,
    listener: str,
    change: dict[str, str],
    error_class: str,
    says: str,
) -> None:
    """The class, and what was wrong; never a password."""
    properties = {**secured_kafka.client(listener), **change}
    if change.get("ssl.ca.location") == "untrusted":
        properties["ssl.ca.location"] = secured_kafka.untrusted_ca
    error = failure_of(properties)
    assert (error.error_class, says in str(error)) == (error_class, True), str(error)


def test_a_host_name_that_the_certificate_does_not_have_is_refused(
    secured_kafka: SecuredKafka,
) -> None:
    """By default; and not where it is said that names do not matter, or nothing does."""
    properties = secured_kafka.client("TLS")
    port = properties["bootstrap.servers"].rpartition(":")[2]
    elsewhere = {**properties, "bootstrap.servers": f"localhost:{port}"}
    error = failure_of(elsewhere)
    assert (error.error_class, "localhost" in str(error)) == ("tls", True), str(error)
    no_names = {**elsewhere, "ssl.endpoint.identification.algorithm": "none"}
    assert run(no_names, brokers) == [1]
    nothing = {**elsewhere, "enable.ssl.certificate.verification": "false"}
    assert run({**nothing, "ssl.ca.location": secured_kafka.untrusted_ca}, brokers) == [1]


def oauth(secured_kafka: SecuredKafka, **more: str) -> dict[str, str]:
    """Properties of OAUTHBEARER; underscores stand for dots."""
    properties = secured_kafka.client("SASL", mechanism="OAUTHBEARER")
    del properties["sasl.username"], properties["sasl.password"]
    return {
        **properties,
        **{f"sasl.oauthbearer.{name.replace('_', '.')}": value for name, value in more.items()},
    }


def test_a_token_is_asked_for_once(secured_kafka: SecuredKafka) -> None:
    """OIDC: the endpoint's token serves all connections until it expires."""
    with TokenEndpoint(ADMIN) as endpoint:

        async def on_two_lanes(client: Client) -> list[int]:
            found = await brokers(client)
            await client.ask("ListGroups", 10.0, lane=1)
            return found

        properties = oauth(
            secured_kafka,
            method="oidc",
            token_endpoint_url=endpoint.url,
            client_id=CLIENT,
            client_secret=SECRET,
            scope="kafka read",
            extensions="traceId=1",
        )
        assert run(properties, on_two_lanes) == [1]
        (asked,) = endpoint.asked
    assert asked == {"grant_type": ["client_credentials"], "scope": ["kafka read"]}


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
        properties = oauth(
            secured_kafka,
            method="oidc",
            token_endpoint_url=url,
            client_id=CLIENT,
            client_secret=secret,
        )
        error = failure_of(properties)
    assert error.error_class == "auth", str(error)
    assert "sasl.oauthbearer" in str(error)
    assert says in str(error), str(error)
    assert secret not in str(error)


def test_a_custom_unsigned_token_gets_in(secured_kafka: SecuredKafka) -> None:
    """librdkafka's way for tests."""
    properties = oauth(secured_kafka, config=f"principal={ADMIN} scope=a,b lifeSeconds=60")
    properties["enable.sasl.oauthbearer.unsecure.jwt"] = "true"
    assert run(properties, brokers) == [1]


def test_a_token_that_the_broker_does_not_take_is_said(secured_kafka: SecuredKafka) -> None:
    """It expired: the broker's own word is passed on."""
    properties = oauth(secured_kafka, config=f"principal={ADMIN} lifeSeconds=-60")
    properties["enable.sasl.oauthbearer.unsecure.jwt"] = "true"
    error = failure_of(properties)
    assert error.error_class == "auth", str(error)
    assert "token" in str(error), str(error)


def test_a_session_is_authenticated_anew_before_it_ends(secured_kafka: SecuredKafka) -> None:
    """KIP-368: on the same connection, among requests that are under way, and after a long rest."""

    async def outlive(client: Client) -> int:
        await brokers(client)
        (link,) = client._links.values()
        connection = link.connection
        assert connection is not None
        clock = asyncio.get_running_loop().time
        end = clock() + 2.2 * SHORT_SESSION
        times = {connection.authenticate_at}
        while clock() < end:
            await asyncio.gather(*(client.ask("ListGroups", 5.0) for _ in range(5)))
            times.add(connection.authenticate_at)
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.2 * SHORT_SESSION)
        await client.ask("ListGroups", 5.0)
        times.add(connection.authenticate_at)
        assert (link.connection, connection.error) == (connection, None)
        assert None not in times
        return len(times)

    assert run(secured_kafka.client("SHORT"), outlive) >= 4
