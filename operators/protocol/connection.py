"""One connection to one broker: requests go out as they come, answers come back in that order."""

import asyncio
import math
import ssl
import struct
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from operators.protocol.errors import RequestError, os_text

MAX_FRAME = 128 << 20
"""Bytes of an answer that is read; the offsets of some three million partitions take as much."""

_READ_SIZE = 1 << 18
"""Bytes of the buffer that all connections of a thread are read by, one after the other."""


class _Buffer(threading.local):
    """What is read is taken out before anybody else reads, so that thousands share one."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ_SIZE))


_buffer = _Buffer()

_MOST_TAGS = 100
"""Tagged fields in a header; brokers send none so far."""

_TLS_ALERT = b"\x15\x03"

_HEADER = struct.Struct(">hhih")
_SIZE = struct.Struct(">i")


@dataclass(slots=True)
class _Request:
    """A request's place in the pipeline: it has one until its answer comes, wanted or not."""

    id: int
    name: str
    answer: asyncio.Future[memoryview]
    since: float
    timeout: float
    tagged: bool
    """Whether the answer's header ends with tagged fields."""

    @property
    def deadline(self) -> float:
        return self.since + self.timeout


class Connection(asyncio.BufferedProtocol):
    """A connection to `where` (a broker and its address, for errors).

    It ends by itself where what comes is no answer, and where nothing at all comes until the
    oldest request's deadline. Then all its requests fail.
    """

    def __init__(self, where: str, client_id: str, max_frame: int = MAX_FRAME) -> None:
        self.where = where
        self.versions: Mapping[int, tuple[int, int]] = {}
        """By API key: the lowest and the highest version that the broker serves."""
        self.opened = False
        """Whether whoever opened it is done with that."""
        self.served = False
        """Whether it has answered anything since."""
        self.error: RequestError | None = None
        """Why it ended."""
        self.unasked_close = False
        """Whether the broker closed it while it owed nothing but what was just asked."""
        self.authenticate_at: float | None = None
        """When it is to be authenticated again, by the loop's clock; None for never."""
        self.session_ends = math.inf
        """When the broker takes no more requests unless it was."""
        self.heard = 0.0
        """When something came last, by the loop's clock."""
        self._client_id = client_id.encode()
        self._max_frame = max_frame
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pending: deque[_Request] = deque()
        self._ids = 0
        self._answered = False
        self._held: list[tuple[_Request, bytes]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ending = False
        self._rest = b""
        """What has come of an answer's size."""
        self._frame: memoryview | None = None
        """An answer of which a part has come; it is read into this, `_filled` bytes so far."""
        self._filled = 0

    @property
    def overdue(self) -> bool:
        """Whether the oldest request's answer should have come."""
        return bool(self._pending) and self._pending[0].deadline <= self._loop.time()

    def request(
        self,
        name: str,
        key: int,
        version: int,
        body: bytes,
        timeout: float,
        *,
        tagged: bool,
        tagged_answer: bool,
        held: bool = True,
    ) -> asyncio.Future[memoryview]:
        """Send a request; the future has what follows the answer's header.

        `name` is for errors. One that is not `held` goes out while others are (see `hold`). The
        future may be cancelled: the answer is then read and left. It fails with a RequestError
        after `timeout` seconds, or when the connection ends.

        Raises:
            RequestError: the connection has ended.
        """
        if self.error is not None or self._transport is None:
            error = self.error or RequestError("refused", f"{self.where}: not connected")
            raise error.again()
        self._ids = (self._ids + 1) & 0x7FFFFFFF
        now = self._loop.time()
        request = _Request(self._ids, name, self._loop.create_future(), now, timeout, tagged_answer)
        header = _HEADER.pack(key, version, self._ids, len(self._client_id)) + self._client_id
        if tagged:
            header += b"\0"
        frame = b"".join((_SIZE.pack(len(header) + len(body)), header, body))
        if held and self._held is not None:
            self._held.append((request, frame))
        else:
            self._pending.append(request)
            self._transport.write(frame)
        self._watch(request.deadline)
        return request.answer

    @property
    def holding(self) -> bool:
        """Whether requests are held."""
        return self._held is not None

    def hold(self) -> None:
        """Let requests wait: a broker takes no others while it authenticates a client again."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Send what was held."""
        held, self._held = self._held or [], None
        for request, frame in held:
            if not request.answer.done() and self._transport is not None:
                self._pending.append(request)
                self._transport.write(frame)

    def end(self, error: RequestError) -> None:
        """Close at once; what is pending fails with `error`."""
        if self.error is not None:
            return
        self.error = error
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        pending = [*self._pending, *(request for request, _ in self._held or ())]
        self._pending.clear()
        self._held = None
        for request in pending:
            if not request.answer.done():
                request.answer.set_exception(error.again())
        self._frame = None

    def end_when_idle(self) -> None:
        """Close as soon as no request waits."""
        self._ending = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._ending and not self._pending and not self._held:
            self.end(RequestError("unavailable", f"{self.where}: is no longer asked"))

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        self.heard = self._loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has closed it, or it broke."""
        if isinstance(exc, ssl.SSLError):
            # With TLS 1.3 a broker says only now that it does not take our certificate.
            text = f"{self.where}: closed the connection: {os_text(exc)}"
            self.end(RequestError("tls", text))
            return
        oldest = self._pending[0].since if self._pending else self._loop.time()
        self.unasked_close = self.served and self.heard <= oldest
        said = "" if exc is None else f" ({os_text(exc)})"
        when = "" if self.served else " as soon as it was spoken to"
        self.end(RequestError("refused", f"{self.where}: closed the connection{when}{said}"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes belong."""
        if self._frame is not None:
            return self._frame[self._filled :]
        _buffer.view[: len(self._rest)] = self._rest
        return _buffer.view[len(self._rest) :]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self.heard = self._loop.time()
        if self._frame is None:
            self._take(_buffer.view[: len(self._rest) + nbytes])
            return
        self._filled += nbytes
        if self._filled == len(self._frame):
            frame, self._frame = self._frame, None
            self._answer(frame)

    def eof_received(self) -> None:
        """Nothing more will come: asyncio closes."""

    def _take(self, came: memoryview) -> None:
        """Take answers out of what came; of the last one there may be a part."""
        at = 0
        while len(came) - at >= _SIZE.size:
            (size,) = _SIZE.unpack_from(came, at)
            if not _SIZE.size <= size <= self._max_frame:
                self._no_size(size, bytes(came[at : at + 8]))
                return
            at += _SIZE.size
            part = came[at : at + size]
            if len(part) < size:
                # Memory that is not touched before it is filled: whoever only claims to send
                # much costs no more than what comes.
                self._frame = memoryview(cast("Any", np.empty(size, np.uint8)))
                self._frame[: len(part)] = part
                self._filled = len(part)
                self._rest = b""
                return
            at += size
            self._answer(memoryview(bytes(part)))
            if self.error is not None:
                return
        self._rest = bytes(came[at:])

    def _no_size(self, size: int, begun: bytes) -> None:
        if not self._answered and begun[:2] == _TLS_ALERT:
            text = f"{self.where}: answers in TLS (`security.protocol`)"
            self.end(RequestError("tls", text))
        else:
            self.garbage(f"{begun!r} where an answer of {size} bytes would begin")

    def _answer(self, frame: memoryview) -> None:
        if not self._pending:
            self.garbage("an answer that nobody asked for")
            return
        request = self._pending.popleft()
        (id_,) = _SIZE.unpack_from(frame)
        if id_ != request.id:
            self._pending.appendleft(request)
            self.garbage(f"an answer with the number {id_} in place of {request.id}")
            return
        start = 4
        if request.tagged:
            try:
                start = _after_tags(frame, 4)
            except (IndexError, ValueError):
                self._pending.appendleft(request)
                self.garbage(f"an answer to {request.name} whose header makes no sense")
                return
        self._answered = True
        self.served = self.opened
        if not request.answer.done():
            request.answer.set_result(frame[start:])
        self._end_if_idle()

    def garbage(self, what: str) -> RequestError:
        """End the connection since `what` came that is no answer; gives the error."""
        error = RequestError(
            "garbage", f"{self.where}: does not speak Kafka's protocol: sent {what}"
        )
        self.end(error)
        return error

    def _watch(self, deadline: float) -> None:
        """See to it that `_due` is called by then."""
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._loop.time()
        oldest = self._pending[0] if self._pending else None
        if oldest is not None and oldest.deadline <= now:
            if self.heard <= oldest.since:
                self.end(_late(self.where, oldest))
                return
            # It sends something, if not this in time: the answer may still come.
            if not oldest.answer.done():
                oldest.answer.set_exception(_late(self.where, oldest))
            oldest.since = self.heard
        waiting = [*self._pending, *(request for request, _ in self._held or ())]
        for request in waiting:
            if request.deadline <= now and not request.answer.done():
                request.answer.set_exception(_late(self.where, request))
        left = [r.deadline for r in waiting if r is oldest or not r.answer.done()]
        if left:
            self._watch(min(left))


def _late(where: str, request: _Request) -> RequestError:
    return RequestError(
        "timeout", f"{where}: no answer to {request.name} within {request.timeout:.1f} s"
    )


def _after_tags(frame: memoryview, at: int) -> int:
    """Where a header's tagged fields end that begin at `at`."""
    count, at = _varint(frame, at)
    if count > _MOST_TAGS:
        raise ValueError
    for _ in range(count):
        _, at = _varint(frame, at)
        size, at = _varint(frame, at)
        at += size
        if at > len(frame):
            raise ValueError
    return at


def _varint(frame: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 35:
        byte = frame[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError
