"""PLAIN (RFC 4616)."""

from operators.protocol.sasl.exchange import Exchange


def plain(username: str, password: str) -> Exchange:
    """User and password in clear."""
    yield f"\0{username}\0{password}".encode()
