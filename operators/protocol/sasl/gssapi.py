"""GSSAPI (RFC 4752): Kerberos, by the package gssapi. Its steps may ask a KDC, so they block."""

from typing import Any

from operators.protocol.sasl.exchange import Exchange, RefusedError

_NO_LAYER = 1
"""Kafka encrypts by TLS alone, not by SASL."""


def gssapi(service: str, host: str, principal: str | None, keytab: str | None) -> Exchange:
    """A ticket for `service` at `host`: of a keytab, or of the ticket cache.

    Raises:
        RefusedError: there is no ticket, or the broker's part makes no sense.
    """
    import gssapi as library

    try:
        name = library.Name(f"{service}@{host}", library.NameType.hostbased_service)
        context = library.SecurityContext(
            name=name.canonicalize(library.MechType.kerberos),
            creds=_credentials(library, principal, keytab),
            usage="initiate",
        )
        token = context.step(None)
        while not context.complete:
            token = context.step((yield token or b""))
        offered = context.unwrap((yield token or b"")).message
        if len(offered) != 4 or not offered[0] & _NO_LAYER:
            raise RefusedError("the broker wants its messages encrypted by Kerberos")
        # The layer, the buffer's size, and whom we want to be: who the ticket says.
        answer = bytes((_NO_LAYER,)) + offered[1:]
        yield context.wrap(answer, False).message
    except library.exceptions.GSSError as error:
        raise RefusedError(f"Kerberos: {error}".replace("\n", " ")) from error


def _credentials(library: Any, principal: str | None, keytab: str | None) -> Any:
    """None for whatever the ticket cache holds."""
    if keytab is None and principal is None:
        return None
    kerberos = library.MechType.kerberos
    name = None
    if principal is not None:
        name = library.Name(principal, library.NameType.kerberos_principal)
    store = {} if keytab is None else {"client_keytab": keytab, "ccache": f"MEMORY:{keytab}"}
    return library.Credentials(usage="initiate", name=name, mechs=[kerberos], store=store or None)
