"""What may be shown of texts that hold, or may hold, passwords and keys."""

import re
from collections.abc import Collection

HIDDEN = "…"

IS_SECRET = re.compile(
    r"key|password|passwd|secret|token|credential|signature|headers", re.IGNORECASE
)
"""Names of settings, variables and URI parameters whose values are never shown."""

_USER = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)"
    # Up to the last `@` of the host; a `/` before it is one of a secret that is not encoded.
    r"(?P<user>[^\s/?#@'\"`]*(?::[^\s?#'\"`]*)?@)(?=[^\s@'\"`])"
)
_HOST_AND_PORT = re.compile(r"[^:]*:\d+/")
_PARAMETER = re.compile(r"(?P<name>[?&][^=&\s]+=)(?P<value>[^&\s'\"`]+)")
_KEY_LIKE = re.compile(r"[A-Za-z0-9+/=_-]*[A-Za-z0-9]{20,}[A-Za-z0-9+/=_-]*")
_LONGEST_KEY = 300
_SHORTEST = 6
"""Characters of a secret from which on it is looked for in messages: shorter ones are words too."""


def without_password(text: str) -> str:
    """A URI, or a text with URIs in it, as it may be shown: without users, passwords and keys."""
    if "://" not in text:
        return text
    text = _USER.sub(_shown_user, text)
    return _PARAMETER.sub(_shown_parameter, text)


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """A message without these secrets, nor what URIs in it hold of others."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    return without_password(text)


def looks_like_key(text: str) -> bool:
    """Whether a text looks like a key: long, of letters and digits, and no words."""
    if not 20 <= len(text) <= _LONGEST_KEY:
        return False
    digits = sum(character.isdigit() for character in text)
    return 3 <= digits < len(text) and _KEY_LIKE.fullmatch(text) is not None


def shown(value: object) -> str:
    """A value that was given, as a message repeats it: cut where it is long."""
    if isinstance(value, str) and looks_like_key(value):
        return HIDDEN
    if isinstance(value, dict | list | tuple | set):
        return "a list or a mapping"
    text = repr(value)
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"


_CUT = 60
"""Characters of a given value that a message repeats."""


def _shown_user(match: re.Match[str]) -> str:
    if match["scheme"].startswith("http") and _HOST_AND_PORT.match(match["user"]):
        return match[0]
    scheme, user = match["scheme"], match["user"].partition(":")[0].removesuffix("@")
    # Azure's user is the container, which is where the samples are.
    shown = f"{user}@" if scheme.startswith("abfs") and user else ""
    return scheme + shown


def _shown_parameter(match: re.Match[str]) -> str:
    name = match["name"]
    hidden = IS_SECRET.search(name) or name.lower()[1:] in ("sig=", "sas=")
    return name + (HIDDEN if hidden else match["value"])
