"""librdkafka's properties: what they mean for our own connections.

What decides whether a connection comes about, or is safe, is translated or refused. What tunes
librdkafka is accepted; it means nothing here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, TypeAlias

from operators.schema.extras import bring
from operators.schema.librdkafka import NAMES, fault_of
from operators.schema.msk_iam import why_not

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = (
    "PLAIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "OAUTHBEARER",
    "GSSAPI",
    "AWS_MSK_IAM",
)

_ALIASES = {
    "sasl.mechanisms": "sasl.mechanism",
    "sasl.oauthbearer.client.credentials.client.id": "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
}

HostPort: TypeAlias = tuple[str, int]

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def _text(value: str) -> str:
    return value


def _boolean(value: str) -> bool:
    known = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    try:
        return known[value.strip().lower()]
    except KeyError:
        raise ValueError("is `true` or `false`") from None


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    def number(value: str) -> int:
        try:
            found = int(value)
        except ValueError:
            found = lowest - 1
        if not lowest <= found <= highest:
            raise ValueError(f"is a whole number from {lowest} to {highest}")
        return found

    return number


def _host_ports(value: str) -> tuple[HostPort, ...]:
    """As librdkafka reads it: the port is 9092 where there is none, a protocol is left out."""
    found = []
    for server in value.split(","):
        address = server.strip().rpartition("://")[2]
        host, colon, port = address.rpartition(":")
        if not colon or "]" in port or (":" in host and not host.endswith("]")):
            host, port = address, "9092"
        if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise ValueError(f"is a list of `host:port`, and not {value}")
        found.append((host.strip("[]"), int(port)))
    return tuple(found)


def _one_of(*known: str) -> Callable[[str], str]:
    by_lower = {one.lower(): one for one in known}

    def one(value: str) -> str:
        try:
            return by_lower[value.strip().lower()]
        except KeyError:
            raise ValueError(f"is one of {', '.join(known)}, and not {value}") from None

    return one


_LARGE = (1 << 31) - 1

_USED: Mapping[str, Callable[[str], Any]] = {
    "bootstrap.servers": _host_ports,
    "client.id": _text,
    "security.protocol": _one_of(*PROTOCOLS),
    "broker.address.family": _one_of("any", "v4", "v6"),
    "client.dns.lookup": _one_of("use_all_dns_ips"),
    "reconnect.backoff.ms": _number(0, 3_600_000),
    "reconnect.backoff.max.ms": _number(0, 3_600_000),
    "receive.message.max.bytes": _number(1000, _LARGE),
    "socket.connection.setup.timeout.ms": _number(1000, _LARGE),
    "socket.keepalive.enable": _boolean,
    "socket.nagle.disable": _boolean,
    "socket.receive.buffer.bytes": _number(0, 100_000_000),
    "socket.send.buffer.bytes": _number(0, 100_000_000),
    "enable.ssl.certificate.verification": _boolean,
    "ssl.ca.location": _text,
    "ssl.ca.pem": _text,
    "ssl.certificate.location": _text,
    "ssl.certificate.pem": _text,
    "ssl.cipher.suites": _text,
    "ssl.crl.location": _text,
    "ssl.endpoint.identification.algorithm": _one_of("https", "none"),
    "ssl.key.location": _text,
    "ssl.key.password": _text,
    "ssl.key.pem": _text,
    "ssl.keystore.location": _text,
    "ssl.keystore.password": _text,
    "https.ca.location": _text,
    "https.ca.pem": _text,
    "sasl.mechanism": _one_of(*MECHANISMS),
    "sasl.username": _text,
    "sasl.password": _text,
    "sasl.kerberos.service.name": _text,
    "sasl.kerberos.principal": _text,
    "sasl.kerberos.keytab": _text,
    "enable.sasl.oauthbearer.unsecure.jwt": _boolean,
    "sasl.oauthbearer.method": _one_of("default", "oidc"),
    "sasl.oauthbearer.config": _text,
    "sasl.oauthbearer.client.id": _text,
    "sasl.oauthbearer.client.secret": _text,
    "sasl.oauthbearer.extensions": _text,
    "sasl.oauthbearer.grant.type": _one_of("client_credentials", JWT_BEARER),
    "sasl.oauthbearer.scope": _text,
    "sasl.oauthbearer.token.endpoint.url": _text,
    "sasl.oauthbearer.assertion.algorithm": _one_of("RS256", "ES256"),
    "sasl.oauthbearer.assertion.claim.aud": _text,
    "sasl.oauthbearer.assertion.claim.exp.seconds": _number(1, _LARGE),
    "sasl.oauthbearer.assertion.claim.iss": _text,
    "sasl.oauthbearer.assertion.claim.jti.include": _boolean,
    "sasl.oauthbearer.assertion.claim.nbf.seconds": _number(0, _LARGE),
    "sasl.oauthbearer.assertion.claim.sub": _text,
    "sasl.oauthbearer.assertion.file": _text,
    "sasl.oauthbearer.assertion.jwt.template.file": _text,
    "sasl.oauthbearer.assertion.private.key.file": _text,
    "sasl.oauthbearer.assertion.private.key.passphrase": _text,
    "sasl.oauthbearer.assertion.private.key.pem": _text,
    "sasl.oauthbearer.metadata.authentication.type": _one_of("none", "azure_imds"),
}
"""What is translated, and how its value is read."""

_REFUSED: Mapping[str, str] = {
    "plugin.library.paths": "mqpipe loads no plugins of librdkafka's here",
    "sasl.kerberos.kinit.cmd": "no command is run: give `sasl.kerberos.keytab`, or have the "
    "ticket renewed beside mqpipe",
    "ssl.ca.certificate.stores": "give `ssl.ca.location`",
    "ssl.curves.list": "OpenSSL's own list is used",
    "ssl.engine.id": "give key and certificate as files",
    "ssl.engine.location": "give key and certificate as files",
    "ssl.providers": "OpenSSL's own are used; a PKCS#12 file of old ciphers needs none",
    "ssl.sigalgs.list": "OpenSSL's own list is used",
}
"""What decides about connections and has no counterpart, and what to do instead."""

_UNUSED = NAMES - {*_USED, *_ALIASES, *_REFUSED}
"""What tunes librdkafka. A name that stands nowhere here is asked of librdkafka itself."""


class PropertyError(ValueError):
    """A property is wrong, missing or has no counterpart here; `name` is which."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True)
class Properties:
    """What properties mean here."""

    values: Mapping[str, Any] = field(repr=False)
    """Those that are used, by librdkafka's names (without aliases): numbers, booleans, text."""
    unused: tuple[str, ...] = ()
    """Those that tune librdkafka alone."""

    @property
    def bootstrap(self) -> tuple[HostPort, ...]:
        """Hosts and ports of `bootstrap.servers`."""
        return self.values["bootstrap.servers"]  # type: ignore[no-any-return]

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self._protocol.endswith("SSL")

    @property
    def mechanism(self) -> str | None:
        """The SASL mechanism; None where there is none."""
        if not self._protocol.startswith("SASL_"):
            return None
        return str(self.values.get("sasl.mechanism", "GSSAPI"))

    @property
    def _protocol(self) -> str:
        return str(self.values.get("security.protocol", "PLAINTEXT"))


def translated(properties: Mapping[str, str]) -> Properties:
    """What librdkafka's properties mean here.

    Raises:
        PropertyError: one has no counterpart here, a wrong value, or a name that nobody knows; or
            one is missing. The text names it, and no value that may be a secret.
    """
    values: dict[str, Any] = {}
    unused = []
    for given, value in properties.items():
        name = _ALIASES.get(given, given)
        if name in _USED:
            if not value and _USED[name] is _text:
                continue  # as librdkafka takes it: not given
            try:
                values[name] = _USED[name](value)
            except ValueError as error:
                raise PropertyError(given, f"`{given}` {error}") from None
        elif name in _REFUSED:
            raise PropertyError(given, f"`{given}` has no counterpart here: {_REFUSED[name]}")
        else:
            if name not in _UNUSED and (fault := fault_of(given, value)) is not None:
                raise PropertyError(given, fault)
            unused.append(given)
    found = Properties(values, tuple(unused))
    _check_tls(values)
    if found.mechanism is not None:
        _check_sasl(found.mechanism, values)
    return found


def _check_tls(values: Mapping[str, Any]) -> None:
    if "https.ca.location" in values and "https.ca.pem" in values:
        raise PropertyError(
            "https.ca.pem", "give `https.ca.location` or `https.ca.pem`, and not both"
        )
    has_key = "ssl.key.location" in values or "ssl.key.pem" in values
    has_certificate = "ssl.certificate.location" in values or "ssl.certificate.pem" in values
    if has_key and not has_certificate:
        text = "a key takes its certificate too: give `ssl.certificate.location`"
        raise PropertyError("ssl.key.location", text)
    if has_certificate and not has_key:
        text = "a certificate takes its key too: give `ssl.key.location`"
        raise PropertyError("ssl.certificate.location", text)
    if has_key and "ssl.keystore.location" in values:
        text = "give `ssl.keystore.location`, or a key and a certificate"
        raise PropertyError("ssl.keystore.location", text)


_NEEDED: Mapping[str, tuple[str, ...]] = {
    "PLAIN": ("sasl.username", "sasl.password"),
    "SCRAM-SHA-256": ("sasl.username", "sasl.password"),
    "SCRAM-SHA-512": ("sasl.username", "sasl.password"),
}


def _check_sasl(mechanism: str, values: Mapping[str, Any]) -> None:
    needed = _NEEDED.get(mechanism, ())
    if mechanism == "OAUTHBEARER":
        needed = _needed_of_oauth(values)
    for name in needed:
        if not values.get(name):
            raise PropertyError(name, f"{mechanism} takes `{name}`")
    if mechanism == "GSSAPI" and "sasl.mechanism" not in values:
        text = f"give `sasl.mechanism`, one of {', '.join(MECHANISMS)}"
        raise PropertyError("sasl.mechanism", text)
    if mechanism == "GSSAPI" and find_spec("gssapi") is None:
        text = f"GSSAPI takes the package gssapi: {bring('gssapi')}"
        raise PropertyError("sasl.mechanism", text)
    lacking = why_not(values)
    if lacking is not None:
        raise PropertyError("sasl.mechanism", lacking)


def _needed_of_oauth(values: Mapping[str, Any]) -> tuple[str, ...]:
    if values.get("sasl.oauthbearer.method", "default") == "default":
        if not values.get("enable.sasl.oauthbearer.unsecure.jwt"):
            raise PropertyError(
                "sasl.oauthbearer.method",
                "OAUTHBEARER takes `sasl.oauthbearer.method: oidc` and the endpoint that gives "
                "tokens, or for tests `enable.sasl.oauthbearer.unsecure.jwt`",
            )
        return ("sasl.oauthbearer.config",)
    prefix = "sasl.oauthbearer."
    endpoint = f"{prefix}token.endpoint.url"
    if values.get(f"{prefix}metadata.authentication.type") == "azure_imds":
        has_query = "query=" in values.get(f"{prefix}config", "")
        return () if has_query else (endpoint,)
    if values.get(f"{prefix}grant.type") != JWT_BEARER:
        return endpoint, f"{prefix}client.id", f"{prefix}client.secret"
    keys = (f"{prefix}assertion.private.key.file", f"{prefix}assertion.private.key.pem")
    if not any(name in values for name in (*keys, f"{prefix}assertion.file")):
        raise PropertyError(keys[0], f"the grant type jwt-bearer takes `{keys[0]}`")
    return (endpoint,)
