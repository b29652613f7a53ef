"""Addresses as users write them."""

from operators.schema.secrets import shown


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 host stands in brackets, and comes without them.

    Raises:
        ValueError: it is no such thing.
    """
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 65_536):
        raise ValueError(f"not an address: {shown(text)}; write it like 127.0.0.1:9464")
    return host.strip("[]"), int(port)
