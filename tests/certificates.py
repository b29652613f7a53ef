"""Certificates for stand-ins on loopback, which signed themselves."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PEM = serialization.Encoding.PEM


class Certificate(NamedTuple):
    """Its files, in PEM."""

    cert: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """A new one of 127.0.0.1 in a new folder."""
    cert, key = _pems("127.0.0.1")
    folder.mkdir()
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    made.cert.write_bytes(cert)
    made.key.write_bytes(key)
    return made


def self_signed(directory: Path, name: str = "stand-in", *hosts: str) -> Path:
    """The path of one file with a key and its certificate, for 127.0.0.1 and `hosts`."""
    cert, key = _pems(name, *hosts)
    path = directory / f"{name}.pem"
    path.write_bytes(key + cert)
    return path


def server_context(path: Path) -> ssl.SSLContext:
    """What a stand-in serves TLS with: the file of `self_signed`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def trusting(certificate: Certificate) -> ssl.SSLContext:
    """A client's context that trusts this one alone."""
    return ssl.create_default_context(cafile=certificate.cert)


def _pems(name: str, *hosts: str) -> tuple[bytes, bytes]:
    """A certificate of 127.0.0.1 and `hosts`, good for a day, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    alternatives: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    alternatives += [x509.DNSName(host) for host in hosts]
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return made.public_bytes(PEM), key.private_bytes(PEM, pkcs8, plain)
