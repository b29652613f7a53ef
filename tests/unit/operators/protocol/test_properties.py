"""librdkafka's properties: translated, refused, or without meaning."""

import sys

import pytest
from confluent_kafka.admin import AdminClient

from operators.protocol import properties
from operators.protocol.properties import _REFUSED, _UNUSED, _USED, PropertyError, translated

PLAIN = {"sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p"}
OIDC = {
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "OAUTHBEARER",
    "sasl.oauthbearer.method": "OIDC",
}


def test_what_is_used_is_read_as_librdkafka_reads_it() -> None:
    """Any case of choices, several words for yes, aliases, empty values, servers without ports."""
    found = translated(
        {
            "bootstrap.servers": "a, b:1 ,[::1]:2,SSL://c:3,::1",
            "security.protocol": "sasl_ssl",
            "sasl.mechanisms": "scram-sha-256",
            "sasl.username": "u",
            "sasl.password": "p",
            "socket.keepalive.enable": "F",
            "reconnect.backoff.ms": "50",
            "ssl.ca.location": "",
            "linger.ms": "5",
        }
    )
    assert found.bootstrap == (("a", 9092), ("b", 1), ("::1", 2), ("c", 3), ("::1", 9092))
    assert (found.tls, found.mechanism) == (True, "SCRAM-SHA-256")
    assert found.values["socket.keepalive.enable"] is False
    assert found.values["reconnect.backoff.ms"] == 50
    assert "ssl.ca.location" not in found.values
    assert found.unused == ("linger.ms",)


def test_without_properties_a_connection_is_plain() -> None:
    """As librdkafka's default is."""
    found = translated({"bootstrap.servers": "a"})
    assert (found.tls, found.mechanism, found.unused) == (False, None, ())


@pytest.mark.parametrize(
    ("wrong", "name", "says"),
    [
        ({"security.protocl": "SSL"}, "security.protocl", "did you mean `security.protocol`?"),
        ({"security.protocol": "TLS"}, "security.protocol", "is one of PLAINTEXT, SSL"),
        ({"ssl.providers": "legacy"}, "ssl.providers", "no counterpart"),
        ({"plugin.library.paths": "x"}, "plugin.library.paths", "no plugins"),
        ({"client.dns.lookup": "resolve"}, "client.dns.lookup", "use_all_dns_ips"),
        ({"socket.keepalive.enable": "maybe"}, "socket.keepalive.enable", "`true` or `false`"),
        ({"reconnect.backoff.ms": "soon"}, "reconnect.backoff.ms", "whole number from 0"),
        ({"bootstrap.servers": "a:b"}, "bootstrap.servers", "`host:port`"),
        ({"bootstrap.servers": "a:70000"}, "bootstrap.servers", "`host:port`"),
        ({"security.protocol": "SASL_SSL"}, "sasl.mechanism", "give `sasl.mechanism`"),
        (
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "u"},
            "sasl.password",
            "PLAIN takes `sasl.password`",
        ),
        ({"ssl.key.location": "k"}, "ssl.key.location", "ssl.certificate.location"),
        ({"ssl.certificate.pem": "c"}, "ssl.certificate.location", "ssl.key.location"),
        (
            OIDC,
            "sasl.oauthbearer.token.endpoint.url",
            "takes `sasl.oauthbearer.token.endpoint.url`",
        ),
        (
            {**OIDC, "sasl.oauthbearer.method": "default"},
            "sasl.oauthbearer.method",
            "sasl.oauthbearer.method: oidc",
        ),
        ({"error_cb": "x"}, "error_cb", "no property `error_cb`"),
        ({"test.mock.num.brokers": "many"}, "test.mock.num.brokers", "Invalid value"),
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, str], name: str, says: str) -> None:
    """By the name that is wrong, with what to do."""
    with pytest.raises(PropertyError) as refused:
        translated({"bootstrap.servers": "a:1", **wrong})
    assert (refused.value.name, says in str(refused.value)) == (name, True), str(refused.value)


def test_kerberos_takes_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to be built beside MIT's library, so it is nobody's by default."""
    kerberos = {"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}
    monkeypatch.setattr(properties, "find_spec", lambda _: None)
    with pytest.raises(PropertyError, match="takes the package gssapi"):
        translated(kerberos)
    monkeypatch.setattr(properties, "find_spec", lambda name: name)
    assert translated(kerberos).mechanism == "GSSAPI"


def test_a_secret_is_never_in_what_is_said() -> None:
    """Not in an error, nor in what is shown of the properties."""
    given = {"security.protocol": "SASL_PLAINTEXT", **PLAIN, "sasl.password": "hunter2"}
    assert "hunter2" not in repr(translated(given))
    with pytest.raises(PropertyError) as refused:
        translated({**given, "sasl.username": ""})
    assert "hunter2" not in str(refused.value)


def test_a_name_that_is_only_librdkafkas_is_accepted() -> None:
    """One that is newer than our tables: it is asked itself."""
    name = "share.acknowledgement.mode"
    assert name not in {*_USED, *_REFUSED, *_UNUSED}
    assert translated({name: "implicit"}).unused == (name,)


def test_each_name_of_the_tables_is_one_of_librdkafkas() -> None:
    """Else a typing error in a table would let the same one of a user's pass."""

    def knows(name: str) -> bool:
        try:
            AdminClient({name: "\n"})
        except Exception as error:
            return "No such configuration property" not in str(error)
        return True

    assert [name for name in (*_USED, *_REFUSED, *sorted(_UNUSED)) if not knows(name)] == []


def test_nothing_heavy_is_imported_before_something_connects() -> None:
    """A configuration is checked without librdkafka, kafka-python or cryptography."""
    code = (
        "import sys; from operators.protocol.properties import translated; "
        f"translated({ {'bootstrap.servers': 'a', 'security.protocol': 'SASL_SSL', **PLAIN}!r}); "
        "import operators.protocol.client; "
        "print([m for m in ('kafka', 'confluent_kafka', 'cryptography', 'aiohttp') "
        "if m in sys.modules])"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
