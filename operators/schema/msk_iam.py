"""Amazon MSK's access by IAM: a request that is signed and never sent, which proves who one is.

Credentials are found by botocore as everywhere in AWS: environment, profile, role of the machine.
It is the extra `msk`. All of this may ask the network, so it blocks.
"""

import os
import re
from base64 import urlsafe_b64encode
from calendar import timegm
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from time import strptime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from operators.schema.extras import bring

MECHANISM = "AWS_MSK_IAM"

USER_AGENT = "mqpipe"

_NAMES = ("sasl.mechanism", "sasl.mechanisms")

_REGION = re.compile(r"\.(?:kafka|kafka-serverless)\.([a-z0-9-]+)\.amazonaws\.")
_EXPIRES = 900
"""Seconds for which a signature holds; more is not taken."""


class NoCredentialsError(Exception):
    """There is nothing to sign with; the text says what is missing."""


def signed_query(host: str) -> dict[str, str]:
    """The query of a signed request to connect to `host`: `Action`, and names like `X-Amz-Date`.

    Raises:
        NoCredentialsError: neither environment nor machine has credentials, or a region.
    """
    url = _signed_url(host, _region(host))
    return dict(parse_qsl(urlsplit(url).query))


def token(bootstrap_host: str) -> tuple[str, float]:
    """A token for OAUTHBEARER, and when it expires (seconds since 1970).

    It is what MSK takes in place of its own mechanism: the signed URL, encoded.

    Raises:
        NoCredentialsError: as `signed_query`.
    """
    region = _region(bootstrap_host)
    url = _signed_url(f"kafka.{region}.amazonaws.com", region)
    query = dict(parse_qsl(urlsplit(url).query))
    begun = timegm(strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    url += f"&User-Agent={USER_AGENT}"
    encoded = urlsafe_b64encode(url.encode()).rstrip(b"=").decode()
    return encoded, float(begun + _EXPIRES)


def why_not(properties: Mapping[str, str]) -> str | None:
    """What properties that ask for this mechanism lack; None where it is nothing."""
    if not _asks_for_it(properties):
        return None
    if properties.get("security.protocol", "").upper() != "SASL_SSL":
        return f"{MECHANISM} takes `security.protocol: SASL_SSL`"
    if find_spec("botocore") is None:
        return (
            f"{MECHANISM} takes botocore: install mqpipe with its extra `msk`, or "
            f"{bring('botocore>=1.38')}"
        )
    return None


def for_librdkafka(properties: Mapping[str, str]) -> dict[str, Any]:
    """Properties in which MSK's mechanism is OAUTHBEARER with a callback, as librdkafka has none.

    Others come back as they are.
    """
    if not _asks_for_it(properties):
        return dict(properties)
    names = [name for name in _NAMES if name in properties]
    host = _first_host(properties)
    callback: Callable[[str], tuple[str, float]] = lambda _: token(host)  # noqa: E731
    return {**properties, **dict.fromkeys(names, "OAUTHBEARER"), "oauth_cb": callback}


def check_credentials(properties: Mapping[str, str]) -> None:
    """Nothing, where a client of these properties has what its mechanism takes.

    librdkafka does not say why its callback failed, and its clients wait ten seconds for a token.

    Raises:
        NoCredentialsError: as `signed_query`.
    """
    if _asks_for_it(properties):
        token(_first_host(properties))


def _first_host(properties: Mapping[str, str]) -> str:
    return properties["bootstrap.servers"].split(",")[0].strip().rpartition(":")[0]


def _asks_for_it(properties: Mapping[str, str]) -> bool:
    return any(properties.get(name, "").upper() == MECHANISM for name in _NAMES)


def _signed_url(host: str, region: str) -> str:
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError

    try:
        credentials = _session().get_credentials()
        if credentials is None:
            raise NoCredentialsError(
                "no AWS credentials: neither environment, profile nor role of the machine has any"
            )
        request = AWSRequest("GET", f"https://{host}/?Action=kafka-cluster%3AConnect")
        frozen = credentials.get_frozen_credentials()
        SigV4QueryAuth(frozen, "kafka-cluster", region, expires=_EXPIRES).add_auth(request)
    except BotoCoreError as error:
        raise NoCredentialsError(f"no AWS credentials: {error}") from error
    return str(request.url)


def _region(host: str) -> str:
    found = _REGION.search(host)
    if found is not None:
        return found[1]
    region = os.environ.get("AWS_REGION") or _session().get_config_variable("region")
    if not region:
        raise NoCredentialsError(
            f"the name {host} does not name the AWS region: set AWS_REGION or AWS_DEFAULT_REGION"
        )
    return str(region)


@cache
def _session() -> Any:
    """One a process: it keeps credentials, and renews those of roles."""
    from botocore.session import Session

    return Session()
