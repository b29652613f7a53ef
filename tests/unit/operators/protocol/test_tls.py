"""TLS contexts: what they are made of, and when they are recreated."""

import os
import ssl
import stat
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from operators.protocol.errors import RequestError
from operators.protocol.tls import Contexts, broker_context
from tests.certificates import self_signed


def names(context: ssl.SSLContext) -> set[str]:
    """Whom a context trusts."""
    subjects = [certificate["subject"] for certificate in context.get_ca_certs()]
    return {str(subject[0][0][1]) for subject in subjects}


def test_a_file_that_was_renewed_is_read_again(tmp_path: Path) -> None:
    """By the next connection; until then the context is kept."""
    path = self_signed(tmp_path, "one")
    contexts = Contexts({"ssl.ca.location": str(path)})
    first = contexts.get()
    assert contexts.get() is first
    assert names(first) == {"one"}
    self_signed(tmp_path, "another").rename(path)
    assert names(contexts.get()) == {"another"}


def test_without_a_word_the_systems_certificates_are_trusted_and_names_are_checked() -> None:
    """Never less than that by default."""
    context = broker_context({})
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_what_is_checked_can_be_less() -> None:
    """Names alone, or everything, as librdkafka's properties say."""
    context = broker_context({"ssl.endpoint.identification.algorithm": "none"})
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)
    context = broker_context({"enable.ssl.certificate.verification": False})
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_certificates_may_be_in_a_directory_a_file_and_inline(tmp_path: Path) -> None:
    """Those of a file and those inline are both trusted."""
    path = self_signed(tmp_path, "one")
    inline = self_signed(tmp_path, "two").read_text()
    context = broker_context({"ssl.ca.location": str(path), "ssl.ca.pem": inline})
    assert names(context) == {"one", "two"}
    broker_context({"ssl.ca.location": str(tmp_path)})
    broker_context({"ssl.ca.location": "probe"})


def test_a_system_that_has_no_files_in_memory_has_one_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS, which has no `memfd_create` and no /proc: of this user alone, and gone afterwards."""
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes = []
    load = ssl.SSLContext.load_cert_chain

    def seen(context: ssl.SSLContext, chain: str, *more: str) -> None:
        modes.append((Path(chain).parent, stat.S_IMODE(Path(chain).stat().st_mode)))
        load(context, chain, *more)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", seen)
    both = self_signed(tmp_path).read_text()
    before = set(tmp_path.iterdir())
    broker_context({"ssl.certificate.pem": both, "ssl.key.pem": both})
    assert modes == [(tmp_path, 0o600)]
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("password", [None, "of-the-store"])
def test_a_keystore_may_have_no_password(tmp_path: Path, password: str | None) -> None:
    """PKCS#12; its key is never written in clear."""
    both = self_signed(tmp_path).read_bytes()
    key = serialization.load_pem_private_key(both, None)
    certificate = x509.load_pem_x509_certificate(both)
    secret: serialization.KeySerializationEncryption = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password.encode())
    )
    store = tmp_path / "store.p12"
    store.write_bytes(
        pkcs12.serialize_key_and_certificates(b"me", key, certificate, None, secret)  # type: ignore[arg-type]
    )
    given = {"ssl.keystore.location": str(store)}
    if password is not None:
        given["ssl.keystore.password"] = password
    broker_context(given)
    with pytest.raises(RequestError, match=r"ssl\.keystore\.location: "):
        broker_context({**given, "ssl.keystore.password": "wrong"})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"ssl.ca.location": "/dev/null/missing"}, "ssl.ca.location: Not a directory"),
        ({"ssl.ca.pem": "nonsense"}, "ssl.ca.pem: "),
        ({"ssl.crl.location": "/dev/null/missing"}, "ssl.crl.location: Not a directory"),
        ({"ssl.cipher.suites": "NONE-SUCH"}, "ssl.cipher.suites: no cipher can be selected"),
        ({"ssl.keystore.location": "/dev/null/missing"}, "ssl.keystore.location: Not a directory"),
        (
            {
                "ssl.certificate.location": "/dev/null/missing",
                "ssl.key.location": "/dev/null/missing",
            },
            "ssl.certificate.location",
        ),
    ],
)
def test_what_cannot_be_used_is_named(values: dict[str, str], says: str) -> None:
    """Which property, and why: in one line."""
    with pytest.raises(RequestError) as refused:
        broker_context(values)
    assert (refused.value.error_class, says in str(refused.value)) == ("config", True), str(
        refused.value
    )
    assert "\n" not in str(refused.value)


def test_an_encrypted_key_without_its_password_is_an_error(tmp_path: Path) -> None:
    """OpenSSL would ask for it at the terminal, and wait."""
    both = self_signed(tmp_path).read_bytes()
    key = serialization.load_pem_private_key(both, None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    ).decode()
    values = {"ssl.certificate.pem": both.decode(), "ssl.key.pem": encrypted}
    with pytest.raises(RequestError, match=r"ssl\.key\.password"):
        broker_context(values)
    broker_context({**values, "ssl.key.password": "x"})
