"""Who may read the metrics server: TLS and basic authentication."""

import base64
import binascii
import hmac
import socket
import ssl
from typing import Any

from flows.observe.settings import ServerBasicAuthSettings, ServerTlsSettings
from operators.schema.logs import Log

log = Log("mqpipe.metrics")


class Tls:
    """Makes connections TLS ones, by the certificate that the files hold then.

    Raises:
        OSError: the files cannot be used.
    """

    def __init__(self, settings: ServerTlsSettings) -> None:
        self._settings = settings
        self._read = self._stamps()
        self._context = _context(settings)

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """The connection; its handshake is made when it is first read, by whom reads it."""
        self._look()
        return self._context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )

    def _look(self) -> None:
        stamps = self._stamps()
        if stamps == self._read:
            return
        self._read = stamps
        try:
            self._context = _context(self._settings)
        except OSError as error:
            log.warning("certificate not renewed", error=str(error), file=str(self._settings.cert))

    def _stamps(self) -> tuple[int, ...]:
        try:
            return tuple(
                path.stat().st_mtime_ns for path in (self._settings.cert, self._settings.key)
            )
        except OSError:
            return ()


def allowed(settings: ServerBasicAuthSettings | None, environ: dict[str, Any]) -> bool:
    """Whether a request has the user and the password that are asked for."""
    if settings is None:
        return True
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        expected = f"{settings.user}:{settings.secret()}".encode()
        return hmac.compare_digest(base64.b64decode(given.strip(), validate=True), expected)
    except (OSError, UnicodeDecodeError) as error:
        log.warning("password cannot be read", error=str(error))
    except binascii.Error:
        pass
    return False


def _context(settings: ServerTlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.cert, settings.key)
    return context
