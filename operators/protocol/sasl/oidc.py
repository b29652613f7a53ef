"""Tokens of an OpenID Connect provider, by librdkafka's `sasl.oauthbearer.…` properties."""

import asyncio
import json
import uuid
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from operators.protocol.apart import apart
from operators.protocol.errors import RequestError, os_text
from operators.protocol.properties import JWT_BEARER
from operators.protocol.sasl.exchange import RefusedError
from operators.protocol.tls import https_context
from operators.schema.clock import wall_seconds

_PREFIX = "sasl.oauthbearer."
_ENDPOINT = f"{_PREFIX}token.endpoint.url"

AZURE_ENDPOINT = "http://169.254.169.254/metadata/identity/oauth2/token"
"""Where a machine in Azure asks for a token of its own identity."""

_USED_FOR = 0.8
"""The share of its life for which a token is used."""

_LARGEST = 1 << 20
"""Bytes of an endpoint's answer that are read."""


@dataclass(frozen=True)
class Token:
    """A token, and until when (seconds since 1970) it may be used for new connections."""

    text: str
    until: float


class OidcTokens:
    """The token of a client; asked for again shortly before it expires, and once for all who wait.

    `values` are the properties as `translated` gives them.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._token: Token | None = None
        self._asking: asyncio.Task[Token] | None = None

    async def get(self, timeout: float) -> str:
        """A token that is valid for some time yet.

        Raises:
            RefusedError: there is none to be had, and why.
        """
        if self._token is None or self._token.until <= wall_seconds():
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(timeout))
                self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._token = await asyncio.shield(self._asking)
        return self._token.text

    async def _ask(self, timeout: float) -> Token:
        values = self._values
        url = str(values.get(_ENDPOINT, AZURE_ENDPOINT))
        shown = urlunsplit(urlsplit(url)._replace(query="", fragment=""))
        try:
            async with asyncio.timeout(timeout):
                return _token(await self._answer(url))
        except RequestError as error:
            raise RefusedError(f"no token: {error}") from error
        except TimeoutError:
            raise RefusedError(f"no token: `{_ENDPOINT}` ({shown}) does not answer") from None
        except (OSError, ValueError) as error:
            said = os_text(error)
            raise RefusedError(f"no token: `{_ENDPOINT}` ({shown}): {said}") from error

    async def _answer(self, url: str) -> Mapping[str, Any]:
        """What the endpoint says.

        Raises:
            ValueError: it gives no token, or a property is wrong.
            OSError: it cannot be reached, or a file is not there.
        """
        import aiohttp

        from operators.protocol.sasl.resolver import Resolver

        values = self._values
        https = url.startswith("https:")
        context = (
            await asyncio.wrap_future(apart(partial(https_context, values))) if https else True
        )
        connector = aiohttp.TCPConnector(resolver=Resolver(), ssl=context)
        try:
            # As librdkafka does it: proxies are those of the environment. By plain http one would
            # read the client's secret.
            async with aiohttp.ClientSession(connector=connector, trust_env=https) as session:
                if values.get(f"{_PREFIX}metadata.authentication.type") == "azure_imds":
                    query = _azure_query(values)
                    asked = session.get(f"{url}?{query}" if query else url, headers=_AZURE)
                else:
                    form, headers = await self._form()
                    asked = session.post(url, data=form, headers=headers)
                async with asked as answer:
                    text = await answer.content.read(_LARGEST)
                    return _said(answer.status, text)
        except aiohttp.ClientError as error:
            raise ValueError(os_text(getattr(error, "os_error", error))) from error

    async def _form(self) -> tuple[dict[str, str], dict[str, str]]:
        """What is posted, and its headers."""
        values = self._values
        form = {"grant_type": values.get(f"{_PREFIX}grant.type", "client_credentials")}
        if scope := values.get(f"{_PREFIX}scope"):
            form["scope"] = scope
        if form["grant_type"] == JWT_BEARER:
            form["assertion"] = await asyncio.wrap_future(apart(partial(_assertion, values)))
            return form, _JSON
        who = f"{values[f'{_PREFIX}client.id']}:{values[f'{_PREFIX}client.secret']}"
        return form, {**_JSON, "Authorization": f"Basic {b64encode(who.encode()).decode()}"}


_JSON = {"Accept": "application/json"}
_AZURE = {**_JSON, "Metadata": "true"}


def unsecured(config: str) -> tuple[str, dict[str, str]]:
    """A token that nobody signed (RFC 7515, A.5), for tests, and its extensions.

    `config` is librdkafka's: `principal=… scope=a,b lifeSeconds=… extension_NAME=…`.

    Raises:
        RefusedError: it has no principal.
    """
    given = dict(part.partition("=")[::2] for part in config.split())
    if not given.get("principal"):
        raise RefusedError(f"no token: `{_PREFIX}config` has no principal")
    now = int(wall_seconds())
    claims: dict[str, Any] = {
        given.get("principalClaimName", "sub"): given["principal"],
        "iat": now,
        "exp": now + int(given.get("lifeSeconds", "3600")),
    }
    if scopes := [scope for scope in given.get("scope", "").split(",") if scope]:
        claims[given.get("scopeClaimName", "scope")] = scopes
    extensions = {
        name.removeprefix("extension_"): value
        for name, value in given.items()
        if name.startswith("extension_")
    }
    return f"{_encoded({'alg': 'none'})}.{_encoded(claims)}.", extensions


def extensions(values: Mapping[str, Any]) -> dict[str, str]:
    """What the broker gets beside the token: `name=value,…`."""
    given = str(values.get(f"{_PREFIX}extensions", ""))
    return dict(part.strip().partition("=")[::2] for part in given.split(",") if part.strip())


def _azure_query(values: Mapping[str, Any]) -> str:
    """`query=…` of `sasl.oauthbearer.config`."""
    for part in str(values.get(f"{_PREFIX}config", "")).split(","):
        if part.strip().startswith("query="):
            return part.strip().removeprefix("query=")
    return ""


def _said(status: int, text: bytes) -> Mapping[str, Any]:
    try:
        answer = dict(json.loads(text))
    except (ValueError, TypeError):
        raise ValueError(f"answers {status} without a JSON object") from None
    if status >= 400 or "error" in answer:
        said = [str(answer[name]) for name in ("error", "error_description") if name in answer]
        raise ValueError(f"answers {status}: {': '.join(said)}".replace("\n", " "))
    return answer


def _token(answer: Mapping[str, Any]) -> Token:
    token = answer.get("access_token")
    if not isinstance(token, str) or not token:
        raise ValueError("gives no access_token")
    now = wall_seconds()
    try:
        # Its own word, if it is a JWT; else the endpoint's; else it is used once.
        part = token.split(".")[1]
        expires = float(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"])
    except (IndexError, KeyError, ValueError, TypeError):
        expires = now + float(answer.get("expires_in", 0))
    return Token(token, now + _USED_FOR * (expires - now))


def _assertion(values: Mapping[str, Any]) -> str:
    """A JWT by which the client says who it is (RFC 7523); reads files."""
    prefix = f"{_PREFIX}assertion."
    if file := values.get(f"{prefix}file"):
        return Path(file).read_text().strip()
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    algorithm = values.get(f"{prefix}algorithm", "RS256")
    pem = values.get(f"{prefix}private.key.pem")
    pem = pem.encode() if pem else Path(values[f"{prefix}private.key.file"]).read_bytes()
    passphrase = values.get(f"{prefix}private.key.passphrase")
    key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)

    now = int(wall_seconds())
    header: dict[str, Any] = {"alg": algorithm, "typ": "JWT"}
    claims: dict[str, Any] = {
        "iat": now,
        "nbf": now - values.get(f"{prefix}claim.nbf.seconds", 60),
        "exp": now + values.get(f"{prefix}claim.exp.seconds", 300),
    }
    for claim in ("aud", "iss", "sub"):
        if value := values.get(f"{prefix}claim.{claim}"):
            claims[claim] = value
    if values.get(f"{prefix}claim.jti.include"):
        claims["jti"] = str(uuid.uuid4())
    if template := values.get(f"{prefix}jwt.template.file"):
        given = json.loads(Path(template).read_text())
        header |= given.get("header", {})
        claims |= given.get("payload", {})
    signed = f"{_encoded(header)}.{_encoded(claims)}"
    if isinstance(key, rsa.RSAPrivateKey) and algorithm == "RS256":
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey) and algorithm == "ES256":
        r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    else:
        raise ValueError(f"the private key is not one for {algorithm}")
    return f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _encoded(part: Mapping[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
