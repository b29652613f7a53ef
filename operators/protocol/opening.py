"""How a connection comes about: TCP, TLS, the versions that the broker speaks, SASL."""

import asyncio
import math
import random
import socket
import ssl
from dataclasses import dataclass
from functools import partial
from typing import Any

from operators.protocol import versions
from operators.protocol.apart import apart
from operators.protocol.connection import MAX_FRAME, Connection
from operators.protocol.errors import RequestError, error_class, error_name, os_text
from operators.protocol.messages import MESSAGES
from operators.protocol.names import Address, addresses
from operators.protocol.properties import Properties
from operators.protocol.race import AllFailedError, first_of
from operators.protocol.sasl import Login
from operators.protocol.sasl.exchange import Exchange, RefusedError
from operators.protocol.tls import Contexts

_NEXT_ADDRESS = 0.25
"""Seconds after which a host's next address is tried beside the one before."""

_IDLE = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
"""How long a connection is idle before it is asked, as Linux calls it, or macOS."""
_KEEPALIVE = ((_IDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""A peer that is gone without a word is noticed within a minute."""

_FAMILIES = {"any": socket.AF_UNSPEC, "v4": socket.AF_INET, "v6": socket.AF_INET6}

_UNSUPPORTED_VERSION, _UNSUPPORTED_MECHANISM, _ILLEGAL_STATE = 35, 33, 34

_METADATA_OF_2_8 = 10
"""The version of Metadata that came with Kafka 2.8, as did DescribeCluster."""

_OF_A_SESSION = (0.85, 0.95)
"""Between which shares of a session's life it is authenticated again."""


@dataclass(frozen=True)
class Backoff:
    """Seconds between attempts to connect: after the first failure, and at most."""

    first: float = 0.2
    most: float = 2.0


class Access:
    """How brokers are reached: what all connections of a client share."""

    def __init__(self, properties: Properties) -> None:
        values = properties.values
        self.client_id = str(values.get("client.id", "mqpipe"))
        self.timeout = values.get("socket.connection.setup.timeout.ms", 10_000) / 1000
        """Seconds for TCP, TLS, versions and SASL together."""
        first = values.get("reconnect.backoff.ms", 200) / 1000
        most = values.get("reconnect.backoff.max.ms", 2000) / 1000
        self.backoff = Backoff(first, max(first, most))
        self.max_frame = int(values.get("receive.message.max.bytes", MAX_FRAME))
        self.family = _FAMILIES[values.get("broker.address.family", "any")]
        self.tls = Contexts(values) if properties.tls else None
        mechanism = properties.mechanism
        self.login = None if mechanism is None else Login(mechanism, values)
        self._values = values

    def prepare(self, sock: socket.socket) -> None:
        """Set a socket's options."""
        values = self._values
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, values.get(_NODELAY, True))
        if values.get("socket.keepalive.enable", True):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, seconds in _KEEPALIVE:
                if option is None:
                    continue
                sock.setsockopt(socket.IPPROTO_TCP, option, seconds)
        for name, option in _BUFFERS.items():
            if values.get(name):
                sock.setsockopt(socket.SOL_SOCKET, option, values[name])


_NODELAY = "socket.nagle.disable"
_BUFFERS = {
    "socket.send.buffer.bytes": socket.SO_SNDBUF,
    "socket.receive.buffer.bytes": socket.SO_RCVBUF,
}


async def opened(where: str, host: str, port: int, access: Access) -> Connection:
    """A connection that is ready for requests.

    Raises:
        RequestError: it did not come about, and why.
    """
    connection: Connection | None = None
    stage = "name"
    try:
        async with asyncio.timeout(access.timeout):
            found = await _addresses(where, host, port, access)
            stage = "TCP"
            sock = await _tcp(where, found, access)
            stage = "TCP" if access.tls is None else "TLS"
            connection = await _transport(where, host, sock, access)
            stage = "ApiVersions"
            await _learn_versions(connection, access)
            stage = "SASL"
            await authenticate(connection, host, access)
            connection.opened = True
            return connection
    except TimeoutError:
        error = RequestError(
            "timeout", f"{where}: not connected within {access.timeout:.3g} s ({stage})"
        )
        if connection is not None:
            connection.end(error)
        raise error from None
    except BaseException:
        if connection is not None:
            connection.end(RequestError("refused", f"{where}: given up"))
        raise


async def authenticate(connection: Connection, host: str, access: Access) -> None:
    """Log in, or log in again; nothing where there is no SASL.

    The connection holds what is asked from the first message on until it is let in: where this
    fails before, for want of a token say, it is what it was.

    Raises:
        RequestError: the broker does not let us in.
    """
    login = access.login
    if login is None:
        return
    where, clock = connection.where, asyncio.get_running_loop().time
    try:
        exchange = await login.exchange(host, access.timeout)
        connection.hold()
        begun = clock()
        answer = await _ask(connection, "SaslHandshake", access, mechanism=login.mechanism)
        if answer.error_code:
            known = ", ".join(answer.mechanisms) or "none"
            said = f"it takes {known}" if answer.error_code == _UNSUPPORTED_MECHANISM else ""
            if answer.error_code == _ILLEGAL_STATE:
                said = (
                    "this listener has no SASL: take the port of one that has it, or set "
                    "`security.protocol` to PLAINTEXT or SSL"
                )
            raise _sasl_error(where, login, answer.error_code, said)
        lifetime = await _exchanged(connection, login, exchange, access) / 1000
    except RefusedError as error:
        raise RequestError("auth", f"{where}: {login.mechanism}: {error}") from error
    if lifetime > 0:
        connection.session_ends = begun + lifetime
        connection.authenticate_at = begun + random.uniform(*_OF_A_SESSION) * lifetime
    else:
        connection.session_ends, connection.authenticate_at = math.inf, None
    connection.release()


async def _exchanged(
    connection: Connection, login: Login, exchange: Exchange, access: Access
) -> int:
    """Carry an exchange through; gives the milliseconds for which it holds, 0 for ever."""

    def step(answer: bytes | None) -> bytes | None:
        try:
            return next(exchange) if answer is None else exchange.send(answer)
        except StopIteration:
            return None

    async def stepped(answer: bytes | None) -> bytes | None:
        if login.blocks:
            return await asyncio.wrap_future(apart(partial(step, answer)))
        return step(answer)

    message = await stepped(None)
    lifetime = 0
    while message is not None:
        answer = await _ask(connection, "SaslAuthenticate", access, auth_bytes=message)
        if answer.error_code:
            said = (answer.error_message or "").replace("\n", " ")
            raise _sasl_error(connection.where, login, answer.error_code, said)
        lifetime = answer.session_lifetime_ms or 0
        message = await stepped(bytes(answer.auth_bytes))
    return int(lifetime)


def _sasl_error(where: str, login: Login, code: int, said: str) -> RequestError:
    text = f"{where}: {login.mechanism}: {error_name(code)}" + (f": {said}" if said else "")
    return RequestError(error_class(code), text, code)


async def _ask(connection: Connection, name: str, access: Access, **fields: Any) -> Any:
    message = MESSAGES[name]
    lowest, highest = connection.versions.get(message.key, (0, -1))
    version = min(highest, message.highest)
    if version < lowest:
        raise RequestError("unsupported", f"{connection.where}: does not serve {name}")
    tagged = version >= message.flexible
    answer = await connection.request(
        name,
        message.key,
        version,
        message.written(version, fields),
        access.timeout,
        tagged=tagged,
        tagged_answer=tagged,
        held=False,
    )
    try:
        return message.classes()[1].decode(answer, version=version)
    except Exception as error:  # whatever it is, these bytes are no answer
        raise connection.garbage(f"an answer to {name} that makes no sense") from error


async def _addresses(where: str, host: str, port: int, access: Access) -> list[Address]:
    try:
        return await addresses(host, port, access.family)
    except OSError as error:
        raise RequestError("resolve", f"{where}: {host}: {os_text(error)}") from error


async def _tcp(where: str, found: list[Address], access: Access) -> socket.socket:
    ways = (partial(_connect, one, access) for one in found)
    try:
        return await first_of(ways, _NEXT_ADDRESS, socket.socket.close)
    except AllFailedError as failed:
        said = ", ".join(dict.fromkeys(os_text(error) for error in failed.errors))
        raise RequestError("refused", f"{where}: {said}") from failed


async def _connect(address: Address, access: Access) -> socket.socket:
    family, to = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        access.prepare(sock)
        await asyncio.get_running_loop().sock_connect(sock, to)
    except BaseException:
        sock.close()
        raise
    return sock


async def _transport(where: str, host: str, sock: socket.socket, access: Access) -> Connection:
    loop = asyncio.get_running_loop()

    def connection() -> Connection:
        return Connection(where, access.client_id, access.max_frame)

    if access.tls is None:
        return (await loop.create_connection(connection, sock=sock))[1]
    try:
        context = await asyncio.wrap_future(apart(access.tls.get))
    except BaseException as error:
        sock.close()
        if isinstance(error, RequestError):
            raise RequestError(error.error_class, f"{where}: {error.text}") from error
        raise
    try:
        return (
            await loop.create_connection(
                connection,
                sock=sock,
                ssl=context,
                # A dot at a name's end is for name servers alone.
                server_hostname=host.rstrip("."),
                ssl_handshake_timeout=access.timeout,
            )
        )[1]
    except ssl.SSLCertVerificationError as error:
        text = f"the broker's certificate is not trusted: {error.verify_message}"
        raise RequestError("tls", f"{where}: {text}") from error
    except ssl.SSLError as error:
        raise RequestError("tls", f"{where}: no TLS: {os_text(error)}") from error
    except OSError as error:
        text = f"closed the connection while TLS began ({os_text(error)})"
        raise RequestError("tls", f"{where}: {text}: does the listener speak TLS?") from error


async def _learn_versions(connection: Connection, access: Access) -> None:
    where, message = connection.where, MESSAGES["ApiVersions"]
    version = versions.HIGHEST
    while True:
        answer = await connection.request(
            message.name,
            message.key,
            version,
            versions.request(version),
            access.timeout,
            tagged=version >= message.flexible,
            # Its answer's header has none in any version.
            tagged_answer=False,
        )
        try:
            error, served = versions.served(bytes(answer), version)
        except ValueError as garbage:
            raise connection.garbage("an answer to ApiVersions that makes no sense") from garbage
        if not error:
            break
        offered = served.get(message.key, (0, 0))[1]
        if error != _UNSUPPORTED_VERSION or not 0 <= offered < version:
            raise RequestError("unsupported", f"{where}: ApiVersions: {error_name(error)}", error)
        version = offered
    metadata = served.get(MESSAGES["Metadata"].key, (0, -1))[1]
    if MESSAGES["DescribeCluster"].key not in served and metadata < _METADATA_OF_2_8:
        text = "the broker is older than Kafka 2.8, the oldest that is supported"
        raise RequestError("unsupported", f"{where}: {text}")
    connection.versions = served
