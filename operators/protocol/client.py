"""One cluster's brokers: who is asked, through which connection, in which version."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from operators.protocol.connection import Connection
from operators.protocol.errors import RequestError
from operators.protocol.link import Link
from operators.protocol.messages import MESSAGES, RequestType
from operators.protocol.opening import Access
from operators.protocol.properties import HostPort, translated
from operators.protocol.race import AllFailedError, first_of
from operators.schema.logs import Log

_log = Log("mqpipe.collect")

T = TypeVar("T")

_ALONE = 0.25
"""The share of its time that a broker has alone, where any may answer, before the next is asked."""

_ALONE_MAX = 2.0
"""Seconds of that, at most."""

_TELLING = ("config", "unsupported", "auth", "tls", "garbage", "resolve", "refused", "timeout")
"""Classes of errors: the first says most of why no broker can be reached."""


class Client:
    """The connections to one cluster, opened when they are needed.

    `properties` are librdkafka's, `bootstrap.servers` among them. Use it from one event loop.
    Requests of different lanes (0 and 1) go through different connections to a broker, so that
    none waits behind a large answer of the other.

    Raises:
        ValueError: a property has no counterpart here; see `translated`.
    """

    def __init__(self, cluster: str, properties: Mapping[str, str]) -> None:
        self.cluster = cluster
        self.brokers: Mapping[int, HostPort] = {}
        """By id: the host and port that a broker is reached at; what `learn` was given."""
        found = translated(properties)
        if found.unused:
            _log.info(
                "properties of librdkafka that mean nothing to collection",
                cluster=cluster,
                properties=", ".join(found.unused),
            )
        self._bootstrap = list(found.bootstrap)
        random.shuffle(self._bootstrap)
        self._access = Access(found)
        self._links: dict[tuple[HostPort, int], Link] = {}
        self._closed = False

    def learn(self, brokers: Mapping[int, HostPort]) -> None:
        """The cluster's brokers, as its metadata says. Connections to others end."""
        self.brokers = dict(brokers)
        if not brokers:
            return
        there = {address: broker for broker, address in brokers.items()}
        for address, lane in list(self._links):
            if address in there:
                self._links[address, lane].belongs_to(there[address])
            else:
                self._links.pop((address, lane)).close(at_once=False)

    async def versions(
        self, timeout: float, broker: int | None = None
    ) -> Mapping[int, tuple[int, int]]:
        """By API key: the lowest and highest version that a broker, or any one, serves.

        Raises:
            RequestError: it cannot be reached.
        """
        if (known := self._open(broker)) is not None:
            return known.versions

        async def versions(connection: Connection, _: float) -> Mapping[int, tuple[int, int]]:
            return connection.versions

        return await self._by(broker, 0, timeout, versions)

    async def version(self, name: str, timeout: float, broker: int | None = None) -> int | None:
        """The highest version of a request that both sides speak; None where there is none.

        Raises:
            RequestError: the broker cannot be reached.
        """
        return _common(await self.versions(timeout, broker), MESSAGES[name])

    async def ask(
        self,
        name: str,
        timeout: float,
        broker: int | None = None,
        *,
        version: int | None = None,
        lane: int = 0,
        **fields: Any,
    ) -> Any:
        """The answer to a request by its name in `MESSAGES`: an object of kafka-python's.

        `fields` are the request's; its parts may be mappings. It is asked in the highest version
        that both sides speak, or in `version`. Without `broker` whichever can be reached answers.
        Error codes inside of the answer are the caller's to look at.

        Raises:
            RequestError: there is no answer within `timeout` seconds.
        """
        message = MESSAGES[name]

        async def ask(connection: Connection, left: float) -> Any:
            spoken = _spoken(connection, message, version)
            body = message.written(spoken, fields)
            answer = await _sent(connection, message, spoken, body, left)
            try:
                return message.classes()[1].decode(answer, version=spoken)
            except Exception as error:  # whatever it is, these bytes are no answer
                raise connection.garbage(f"an answer to {name} that makes no sense") from error

        return await self._by(broker, lane, timeout, ask)

    async def send(
        self,
        name: str,
        version: int,
        body: bytes,
        timeout: float,
        broker: int | None = None,
        lane: int = 0,
    ) -> memoryview:
        """What follows the header of the answer to a request of which `body` follows the header.

        Raises:
            RequestError: there is no answer within `timeout` seconds, or the broker does not
                speak this version.
        """
        message = MESSAGES[name]

        async def send(connection: Connection, left: float) -> memoryview:
            spoken = _spoken(connection, message, version)
            return await _sent(connection, message, spoken, body, left)

        return await self._by(broker, lane, timeout, send)

    async def close(self) -> None:
        """End all connections; whoever asks on learns that there are none any more."""
        self._closed = True
        for link in self._links.values():
            link.close()
        self._links.clear()

    async def _by(
        self,
        broker: int | None,
        lane: int,
        timeout: float,
        call: Callable[[Connection, float], Awaitable[T]],
    ) -> T:
        """What `call` gives for a broker's connection, or for any's, and the seconds left."""
        if self._closed:
            raise RequestError("unavailable", f"{self.cluster}: is no longer asked")
        deadline = asyncio.get_running_loop().time() + timeout

        if broker is not None:
            try:
                address = self.brokers[broker]
            except KeyError:
                raise RequestError(
                    "unavailable", f"broker {broker}: is not in the cluster"
                ) from None
            return await _through(self._link(address, lane, broker), deadline, call)
        links = self._any(lane)
        if len(links) == 1:
            return await _patiently(links[0], deadline, call)
        denied = False

        async def unless_denied(link: Link) -> T:
            nonlocal denied
            try:
                return await _patiently(link, deadline, call)
            except RequestError as error:
                denied = error.error_class == "auth"
                raise

        def ways() -> Iterator[Callable[[], Coroutine[Any, Any, T]]]:
            for link in links:
                # What one broker does not let in, no other does; users are locked out for less.
                if denied:
                    return
                yield partial(unless_denied, link)

        try:
            return await first_of(ways(), min(_ALONE * timeout, _ALONE_MAX))
        except AllFailedError as failed:
            raise _most_telling(failed.errors) from failed

    def _link(self, address: HostPort, lane: int, broker: int | None = None) -> Link:
        link = self._links.get((address, lane))
        if link is None:
            link = self._links[address, lane] = Link(*address, self._access)
            if broker is not None:
                link.belongs_to(broker)
        return link

    def _open(self, broker: int | None) -> Connection | None:
        """A connection that there is to a broker, or to the most promising one."""
        if broker is None:
            link = min(self._links.values(), key=_promise, default=None)
        else:
            link = self._links.get((self.brokers[broker], 0)) if broker in self.brokers else None
        return link.connection if link is not None and link.doubts == 0 else None

    def _any(self, lane: int) -> Sequence[Link]:
        """The links to all that may be asked, the most promising first."""
        known = list(self.brokers.items())
        random.shuffle(known)
        links = [self._link(address, lane, broker) for broker, address in known]
        there = set(self.brokers.values())
        links += [self._link(a, lane) for a in self._bootstrap if a not in there]
        return links if len(links) == 1 else sorted(links, key=_promise)


async def _through(
    link: Link, deadline: float, call: Callable[[Connection, float], Awaitable[T]]
) -> T:
    """What `call` gives for the link's connection, and the seconds left until `deadline`."""
    time = asyncio.get_running_loop().time
    connection = link.ready() or await link.connected(deadline)
    try:
        return await call(connection, max(0.0, deadline - time()))
    except RequestError:
        if connection.error is None or not connection.unasked_close:
            raise
    # Connections that were idle for too long are closed, even as something is asked.
    connection = await link.connected(deadline)
    return await call(connection, max(0.0, deadline - time()))


async def _patiently(
    link: Link, deadline: float, call: Callable[[Connection, float], Awaitable[T]]
) -> T:
    """As `_through`, where any broker may answer: after the pause of a failed attempt."""
    if not link.open and link.waits:
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        await asyncio.sleep(min(link.waits, left))
    return await _through(link, deadline, call)


def _promise(link: Link) -> tuple[int, float]:
    connection = link.connection
    return link.doubts, 0.0 if connection is None else -connection.heard


async def _sent(
    connection: Connection, message: RequestType, version: int, body: bytes, timeout: float
) -> memoryview:
    tagged = version >= message.flexible
    return await connection.request(
        message.name,
        message.key,
        version,
        body,
        timeout,
        tagged=tagged,
        tagged_answer=tagged,
    )


def _spoken(connection: Connection, message: RequestType, version: int | None) -> int:
    """The version in which a broker is asked.

    Raises:
        RequestError: it does not serve such a request, or not in `version`.
    """
    served = connection.versions.get(message.key)
    if served is not None and version is not None and served[0] <= version <= served[1]:
        return version
    common = _common(connection.versions, message)
    if common is None or version is not None:
        wanted = message.name if version is None else f"{message.name} v{version}"
        offers = "no version" if served is None else f"v{served[0]} to v{served[1]}"
        raise RequestError(
            "unsupported", f"{connection.where}: does not serve {wanted} (it has {offers})"
        )
    return common


def _common(versions: Mapping[int, tuple[int, int]], message: RequestType) -> int | None:
    lowest, highest = versions.get(message.key, (0, -1))
    common = min(highest, message.highest)
    return common if common >= lowest else None


def _most_telling(errors: list[Exception]) -> Exception:
    def rank(error: Exception) -> int:
        class_ = error.error_class if isinstance(error, RequestError) else ""
        return _TELLING.index(class_) if class_ in _TELLING else len(_TELLING)

    return min(errors, key=rank)
