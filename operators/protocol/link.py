"""The way to one address: its connection, opened when needed and again after it was lost."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from ssl import SSLContext

from operators.protocol.connection import Connection
from operators.protocol.errors import RequestError, error_name
from operators.protocol.messages import MESSAGES
from operators.protocol.names import Address, addresses
from operators.protocol.race import AllFailedError, first_of

BACKOFF, BACKOFF_MAX = 0.2, 2.0
"""Seconds between attempts to connect: after the first failure, and at most."""

_NEXT_ADDRESS = 0.25
"""Seconds after which a host's next address is tried beside the one before."""

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""A peer that is gone without a word is noticed within a minute."""

_DESCRIBE_CLUSTER = MESSAGES["DescribeCluster"].key
_METADATA = MESSAGES["Metadata"].key
_METADATA_OF_2_8 = 10

_UNSUPPORTED_VERSION = 35


@dataclass(frozen=True)
class Access:
    """How connections are opened: what all links of a client share."""

    client_id: str = "mqpipe"
    connect_timeout: float = 10.0
    """Seconds for TCP, TLS, versions and SASL together."""
    keepalive: bool = True
    tls: Callable[[], Awaitable[SSLContext]] | None = None
    host_names: bool = True
    """Whether the certificate has to have the host's name."""


class Link:
    """The way to `host:port`. `name` says whose it is, for errors."""

    def __init__(self, name: str, host: str, port: int, access: Access) -> None:
        self.where = f"{name} ({host}:{port})" if name else f"{host}:{port}"
        self.connection: Connection | None = None
        self.failures = 0
        self._host = host
        self._port = port
        self._access = access
        self._opening: asyncio.Task[Connection] | None = None
        self._error: RequestError | None = None
        self._again_at = 0.0

    @property
    def open(self) -> bool:
        """Whether there is a connection."""
        return self.connection is not None and self.connection.error is None

    @property
    def waits(self) -> float:
        """Seconds for which no attempt to connect is made after the last one failed."""
        return max(0.0, self._again_at - asyncio.get_running_loop().time())

    async def connected(self, deadline: float) -> Connection:
        """The connection; waits for it until `deadline`, by the loop's clock.

        Raises:
            RequestError: there is none, and why; soon after a failure at once.
        """
        if self.connection is not None and self.connection.error is None:
            return self.connection
        if self._opening is None:
            if self._error is not None and self.waits:
                raise self._error
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        opening = self._opening
        left = deadline - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait({opening}, timeout=max(0.0, left))
        if not done:
            raise RequestError("timeout", f"{self.where}: not connected in time")
        if opening.cancelled():
            raise RequestError("unavailable", f"{self.where}: is no longer asked")
        return opening.result()

    def close(self, *, at_once: bool = True) -> None:
        """End the connection; where it is not `at_once`, after the requests that wait."""
        if self._opening is not None:
            self._opening.cancel()
        if self.connection is not None:
            if at_once:
                self.connection.end(RequestError("unavailable", f"{self.where}: was closed"))
            else:
                self.connection.end_when_idle()

    def _opened(self, opening: asyncio.Task[Connection]) -> None:
        self._opening = None
        if opening.cancelled():
            return
        error = opening.exception()
        if error is None:
            self.connection = opening.result()
            self.failures = 0
            self._error = None
            return
        self._error = (
            error
            if isinstance(error, RequestError)
            else RequestError("unknown", f"{self.where}: {type(error).__name__}: {error}")
        )
        pause = min(BACKOFF * 2**self.failures, BACKOFF_MAX)
        self.failures += 1
        loop = asyncio.get_running_loop()
        self._again_at = loop.time() + pause * random.uniform(0.8, 1.2)

    async def _open(self) -> Connection:
        stage = "connect"
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self._access.connect_timeout):
                sock = await self._tcp()
                stage = "TLS" if self._access.tls is not None else "connect"
                connection = await self._transport(sock)
                stage = "ApiVersions"
                await self._learn_versions(connection)
                return connection
        except TimeoutError:
            spent = f"{self._access.connect_timeout:.3g} s"
            raise RequestError(
                "timeout", f"{self.where}: not connected within {spent} ({stage})"
            ) from None
        except BaseException:
            if connection is not None:
                connection.end(RequestError("refused", f"{self.where}: given up"))
            raise

    async def _tcp(self) -> socket.socket:
        try:
            found = await addresses(self._host, self._port)
        except OSError as error:
            raise RequestError(
                "resolve", f"{self.where}: the name {self._host} is not known ({error.strerror})"
            ) from error
        try:
            return await first_of((partial(_connect, one) for one in found), _NEXT_ADDRESS)
        except AllFailedError as failed:
            said = dict.fromkeys(
                (e.strerror or str(e)) if isinstance(e, OSError) else str(e) for e in failed.errors
            )
            raise RequestError("refused", f"{self.where}: {', '.join(said)}") from failed

    async def _transport(self, sock: socket.socket) -> Connection:
        access = self._access
        if access.keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, seconds in _KEEPALIVE:
                sock.setsockopt(socket.IPPROTO_TCP, option, seconds)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self.where, access.client_id), sock=sock
        )
        return connection

    async def _learn_versions(self, connection: Connection) -> None:
        message = MESSAGES["ApiVersions"]
        request, response = message.classes()
        version = message.highest
        fields = {"client_software_name": "mqpipe", "client_software_version": "1"}
        while True:
            said = fields if version >= 3 else {}
            answer = await connection.request(
                message.name,
                message.key,
                version,
                request(version=version, **said).encode(version=version),
                self._access.connect_timeout,
                tagged=version >= message.flexible,
                tagged_answer=False,
            )
            try:
                found = response.decode(answer, version=version)
                served = {k.api_key: (k.min_version, k.max_version) for k in found.api_keys}
            except Exception as error:
                raise connection.garbage("an answer to ApiVersions that makes no sense") from error
            if not found.error_code:
                break
            offered = served.get(message.key, (0, 0))[1]
            if found.error_code != _UNSUPPORTED_VERSION or offered >= version:
                name = error_name(found.error_code)
                raise RequestError(
                    "unsupported", f"{self.where}: ApiVersions: {name}", found.error_code
                )
            version = offered
        highest = served.get(_METADATA, (0, -1))[1]
        if _DESCRIBE_CLUSTER not in served and highest < _METADATA_OF_2_8:
            raise RequestError(
                "unsupported",
                f"{self.where}: the broker is older than Kafka 2.8, the oldest that is supported",
            )
        connection.versions = served


async def _connect(address: Address) -> socket.socket:
    family, to = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, to)
    except BaseException:
        sock.close()
        raise
    return sock
