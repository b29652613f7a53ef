"""SCRAM, held against the RFC's own example."""

from base64 import b64encode

import pytest

from operators.protocol.sasl.exchange import RefusedError
from operators.protocol.sasl.scram import scram

NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_example_of_rfc_7677() -> None:
    """Each message of it, and an end when the server has proved itself."""
    exchange = scram("SCRAM-SHA-256", "user", "pencil", NONCE)
    assert next(exchange) == f"n,,n=user,r={NONCE}".encode()
    assert exchange.send(SERVER_FIRST) == CLIENT_FINAL
    with pytest.raises(StopIteration):
        exchange.send(SERVER_FINAL)


def test_names_are_escaped() -> None:
    """What separates fields does not; letters of any language are sent as they are."""
    first = next(scram("SCRAM-SHA-512", "a=b,c=ü", "p", "n"))
    assert first == "n,,n=a=3Db=2Cc=3Dü,r=n".encode()


@pytest.mark.parametrize(
    ("server_first", "says"),
    [
        (b"e=unknown-user", "makes no sense"),
        (b"\xff\xfe", "makes no sense"),
        (SERVER_FIRST.replace(b"s=W22Z", b"s=!!!!"), "makes no sense"),
        (SERVER_FIRST.replace(b"r=rOpr", b"r=xxxx"), "somebody else's"),
        (f"r={NONCE},s=YQ==,i=4096".encode(), "somebody else's"),
        (SERVER_FIRST.replace(b"i=4096", b"i=2147483647"), "2147483647 iterations"),
        (SERVER_FIRST.replace(b"i=4096", b"i=0"), "0 iterations"),
    ],
)
def test_a_first_message_that_cannot_be_right_is_refused(server_first: bytes, says: str) -> None:
    """Before anything is computed from the password."""
    exchange = scram("SCRAM-SHA-256", "user", "pencil", NONCE)
    next(exchange)
    with pytest.raises(RefusedError, match=says):
        exchange.send(server_first)


@pytest.mark.parametrize(
    ("server_final", "says"),
    [
        (b"e=invalid-proof", "invalid-proof"),
        (b"v=" + b64encode(bytes(32)), "does not know the password"),
        (b"", "does not know the password"),
        (b"v=", "does not know the password"),
    ],
)
def test_a_server_that_does_not_prove_itself_is_not_believed(
    server_final: bytes, says: str
) -> None:
    """Whoever it is does not know the password; or it says what is wrong."""
    exchange = scram("SCRAM-SHA-256", "user", "pencil", NONCE)
    next(exchange)
    exchange.send(SERVER_FIRST)
    with pytest.raises(RefusedError, match=says):
        exchange.send(server_final)
