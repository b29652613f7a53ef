"""An OAuth token endpoint for tests: gives out unsigned tokens, as a broker under test takes them."""

import json
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Self
from urllib.parse import parse_qs

CLIENT, SECRET = "mqpipe", "a-secret-of-tests"


class TokenEndpoint:
    """Gives a client with the right secret a token for a user; a context manager."""

    def __init__(self, user: str) -> None:
        self.asked: list[dict[str, list[str]]] = []
        """The form of each request."""
        asked_here = self.asked

        class Handler(_Handler):
            subject = user
            asked = asked_here

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}/token"


class _Handler(BaseHTTPRequestHandler):
    subject = ""
    asked: ClassVar[list[dict[str, list[str]]]]

    def do_POST(self) -> None:
        """Answers a request of the client credentials grant (RFC 6749, section 4.4)."""
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(parse_qs(form))
        right = b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if self.headers["Authorization"] == f"Basic {right}":
            self._answer(200, {"access_token": token(self.subject), "token_type": "Bearer"})
        else:
            self._answer(401, {"error": "invalid_client"})

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def _answer(self, status: int, body: dict[str, str]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def token(user: str) -> str:
    """A token without a signature (RFC 7519, section 6) that lasts for an hour."""
    now = int(time.time())
    parts = {"alg": "none"}, {"sub": user, "iat": now, "exp": now + 3600}
    encoded = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return ".".join(part.decode() for part in encoded) + "."
