"""AWS_MSK_IAM, Amazon MSK's own mechanism: a signed request as JSON."""

import json
from collections.abc import Mapping

from operators.protocol.sasl.exchange import Exchange, RefusedError
from operators.schema.msk_iam import USER_AGENT, NoCredentialsError, signed_query

_VERSION = "2020_10_22"


def signed(host: str) -> dict[str, str]:
    """What proves to the broker at `host` who we are. Asks for credentials, so it blocks.

    Raises:
        RefusedError: there are none.
    """
    try:
        query = signed_query(host)
    except NoCredentialsError as error:
        raise RefusedError(str(error)) from error
    said = {"version": _VERSION, "host": host, "user-agent": USER_AGENT}
    return said | {name.lower(): value for name, value in query.items()}


def msk_iam(said: Mapping[str, str]) -> Exchange:
    """`signed`, to the broker.

    Raises:
        RefusedError: it does not take it.
    """
    answer = yield json.dumps(said, separators=(",", ":")).encode()
    if not answer:
        raise RefusedError("the broker does not take the signature")
