"""URLs in settings."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator


def http_parts(url: str, otherwise: str) -> SplitResult:
    """The parts of a URL that is http or https and names a host.

    Raises:
        ValueError: it is none; `otherwise` is the message. Or its port is no number.
    """
    parts = urlsplit(url)
    _ = parts.port  # a ValueError where it is no number
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(otherwise)
    return parts


def server_url(what: str, like: str, keys: str) -> AfterValidator:
    """Of the URL of a server, whose paths are mqpipe's own and whose user and password are `keys`."""

    def checked(url: str) -> str:
        parts = http_parts(url, f"write {what} like {like}")
        if parts.username or parts.password:
            raise ValueError(f"write user and password beside the URL: {keys}")
        return url.rstrip("/")

    return AfterValidator(checked)


def is_loopback(host: str) -> bool:
    """Whether what a URL or an address names as its host is this machine alone."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"
