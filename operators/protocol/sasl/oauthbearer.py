"""OAUTHBEARER (RFC 7628, and KIP-255 for its extensions)."""

import json
from collections.abc import Mapping

from operators.protocol.sasl.exchange import Exchange, RefusedError


def oauthbearer(token: str, extensions: Mapping[str, str]) -> Exchange:
    """A token that somebody gave us.

    Raises:
        RefusedError: the broker does not take it, and why.
    """
    said = "".join(f"\1{name}={value}" for name, value in extensions.items())
    answer = yield f"n,,\1auth=Bearer {token}{said}\1\1".encode()
    if answer:
        # It waits for this before it says that it failed.
        yield b"\1"
        raise RefusedError(f"the broker does not take the token: {_reason(answer)}")


def _reason(answer: bytes) -> str:
    try:
        said = json.loads(answer)
        return ", ".join(f"{name}: {value}" for name, value in said.items())
    except (ValueError, AttributeError):
        return answer[:200].decode(errors="replace")
