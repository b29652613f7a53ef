"""TLS contexts from librdkafka's `ssl.…` and `https.…` properties."""

import os
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from operators.protocol.errors import RequestError, os_text

_PROBED = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/pki/tls/certs/ca-bundle.trust.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/cacert.pem",
    "/etc/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs",
)
"""Where distributions keep the certificates that they trust, as librdkafka looks for them."""

_FILES = (
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.crl.location",
    "ssl.key.location",
    "ssl.keystore.location",
)


class Contexts:
    """The context of a client's connections: made again when one of its files has changed.

    So a certificate that is renewed in its place is used by the next connection.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._made: tuple[tuple[object, ...], ssl.SSLContext] | None = None

    def get(self) -> ssl.SSLContext:
        """The context. Reads files, so it blocks.

        Raises:
            RequestError: of the class config: a file is missing or is not what it should be.
        """
        files = tuple(_state(self._values.get(name)) for name in _FILES)
        if self._made is None or self._made[0] != files:
            self._made = files, broker_context(self._values)
        return self._made[1]


def broker_context(values: Mapping[str, Any]) -> ssl.SSLContext:
    """What connections to brokers are made with.

    Raises:
        RequestError: of the class config.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verified = values.get("enable.ssl.certificate.verification", True)
    names = values.get("ssl.endpoint.identification.algorithm", "https") == "https"
    context.check_hostname = verified and names
    context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    _trust(context, values, "ssl")
    with _blamed("ssl.crl.location"):
        if crl := values.get("ssl.crl.location"):
            context.load_verify_locations(cafile=crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    with _blamed("ssl.cipher.suites"):
        if suites := values.get("ssl.cipher.suites"):
            context.set_ciphers(suites)
    if keystore := values.get("ssl.keystore.location"):
        with _blamed("ssl.keystore.location"):
            _load_keystore(context, keystore, values.get("ssl.keystore.password"))
    else:
        _load_certificate(context, values)
    return context


def https_context(values: Mapping[str, Any]) -> ssl.SSLContext:
    """What a token endpoint is asked with.

    Raises:
        RequestError: of the class config.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _trust(context, values, "https")
    return context


def _trust(context: ssl.SSLContext, values: Mapping[str, Any], prefix: str) -> None:
    location, pem = values.get(f"{prefix}.ca.location"), values.get(f"{prefix}.ca.pem")
    if location == "probe":
        location = next((path for path in _PROBED if Path(path).exists()), None)
    with _blamed(f"{prefix}.ca.location"):
        if location and Path(location).is_dir():
            context.load_verify_locations(capath=location)
        elif location:
            context.load_verify_locations(cafile=location)
    with _blamed(f"{prefix}.ca.pem"):
        if pem:
            context.load_verify_locations(cadata=pem)
    if not location and not pem:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)


def _load_certificate(context: ssl.SSLContext, values: Mapping[str, Any]) -> None:
    certificate = values.get("ssl.certificate.location")
    key = values.get("ssl.key.location")
    # Never None: OpenSSL would ask for it at the terminal.
    password = values.get("ssl.key.password", "")
    with (
        _blamed("ssl.certificate.location, ssl.key.location, ssl.key.password"),
        _as_file(values.get("ssl.certificate.pem")) as written,
        _as_file(values.get("ssl.key.pem")) as written_key,
    ):
        chain = certificate or written
        if chain is not None:
            context.load_cert_chain(chain, key or written_key, password)


def _load_keystore(context: ssl.SSLContext, path: str, password: str | None) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    key, certificate, others = pkcs12.load_key_and_certificates(
        Path(path).read_bytes(), None if password is None else password.encode()
    )
    if key is None or certificate is None:
        raise ValueError("holds no key with a certificate")
    pem = serialization.Encoding.PEM
    chain = b"".join(one.public_bytes(pem) for one in (certificate, *others))
    # OpenSSL takes keys from files alone: never in clear.
    once = secrets.token_hex(32)
    encrypted = key.private_bytes(
        pem,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(once.encode()),
    )
    with _as_file(chain.decode()) as chain_file, _as_file(encrypted.decode()) as key_file:
        assert chain_file is not None  # noqa: S101
        context.load_cert_chain(chain_file, key_file, once)


@contextmanager
def _as_file(text: str | None) -> Iterator[str | None]:
    """The path of a file that holds a text, in memory alone on Linux; None where there is none."""
    if not text:
        yield None
        return
    if not hasattr(os, "memfd_create"):  # as on macOS: a file of this user alone, for a moment
        with NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(text)
            file.flush()
            yield file.name
        return
    descriptor = os.memfd_create("mqpipe-pem")
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextmanager
def _blamed(what: str) -> Iterator[None]:
    """Says which properties it was that could not be used."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise RequestError("config", f"{what}: {os_text(error)}{where}") from error
    except ValueError as error:
        raise RequestError("config", f"{what}: {error}") from error


def _state(path: str | None) -> object:
    if not path:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
