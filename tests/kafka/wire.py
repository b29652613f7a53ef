"""A plain connection to a broker, for what no client offers: thousands of members, moved leaders.

The messages are kafka-python's; requests are answered in turn, and may be many at once.
"""

import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any, Self

from kafka.protocol.api_message import ApiMessage

TIMEOUT = 60.0
"""Seconds that an answer may take."""


class Wire:
    """A connection to the broker at `host:port`; a context manager."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), TIMEOUT)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._reader.close()
        self._socket.close()

    def ask(self, request: ApiMessage, answers: type[ApiMessage] | None = None) -> Any:
        """The answer to one request, in the version that it was made with.

        `answers` is the answer's class, where it does not stand beside the request's.
        """
        self.send(request)
        return self._answer(request, answers)

    def ask_all(self, requests: Sequence[ApiMessage]) -> list[Any]:
        """The answers to requests that are sent before the first is awaited."""
        for request in requests:
            self.send(request)
        return [self._answer(request) for request in requests]

    def send(self, request: ApiMessage) -> None:
        """Sends a request whose answer nobody waits for here."""
        request.with_header(client_id="tests")
        self._socket.sendall(request.encode(header=True, framed=True))

    def _answer(self, request: ApiMessage, answers: Any = None) -> Any:
        (size,) = struct.unpack(">i", self._reader.read(4))
        answers = answers or getattr(
            sys.modules[type(request).__module__],
            type(request).__name__.replace("Request", "Response"),
        )
        return answers.decode(self._reader.read(size), version=request.API_VERSION, header=True)
