"""SCRAM (RFC 5802), as Kafka has it: without channel binding."""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

from operators.protocol.sasl.exchange import Exchange, RefusedError

MOST_ITERATIONS = 1 << 17
"""What a broker may ask of us; Kafka's own limit is 16,384."""

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


def scram(mechanism: str, username: str, password: str, nonce: str | None = None) -> Exchange:
    """The password is not sent, and the broker proves that it knows it too.

    Raises:
        RefusedError: the broker's messages make no sense, or its proof is wrong.
    """
    hash_ = HASHES[mechanism]
    nonce = secrets.token_urlsafe(24) if nonce is None else nonce
    # A name may hold what separates fields.
    name = username.replace("=", "=3D").replace(",", "=2C")
    client_first = f"n={name},r={nonce}"
    server_first = (yield f"n,,{client_first}".encode()).decode(errors="replace")

    fields = _fields(server_first)
    try:
        salt, iterations = b64decode(fields["s"], validate=True), int(fields["i"])
        both = fields["r"]
    except (KeyError, ValueError) as error:
        raise RefusedError("the broker's first message makes no sense") from error
    if not both.startswith(nonce) or both == nonce:
        raise RefusedError("the broker's first message answers somebody else's")
    if not 1 <= iterations <= MOST_ITERATIONS:
        raise RefusedError(f"the broker asks for {iterations} iterations")

    client_final = f"c={b64encode(b'n,,').decode()},r={both}"
    signed = f"{client_first},{server_first},{client_final}".encode()
    salted = hashlib.pbkdf2_hmac(hash_, password.encode(), salt, iterations)
    key = hmac.digest(salted, b"Client Key", hash_)
    signature = hmac.digest(hashlib.new(hash_, key).digest(), signed, hash_)
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    server_final = yield f"{client_final},p={b64encode(proof).decode()}".encode()

    fields = _fields(server_final.decode(errors="replace"))
    if "e" in fields:
        raise RefusedError(f"the broker says {fields['e']}")
    expected = hmac.digest(hmac.digest(salted, b"Server Key", hash_), signed, hash_)
    if not hmac.compare_digest(fields.get("v", "").encode(), b64encode(expected)):
        raise RefusedError("the broker does not know the password: it may be somebody else")


def _fields(message: str) -> dict[str, str]:
    return {part[:1]: part[2:] for part in message.split(",") if part[1:2] == "="}
