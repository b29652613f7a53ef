"""Tokens of an OpenID Connect provider, and of none."""

import asyncio
import json
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from operators.protocol.properties import JWT_BEARER, translated
from operators.protocol.sasl.exchange import RefusedError
from operators.protocol.sasl.oidc import OidcTokens, extensions, unsecured
from tests.certificates import self_signed, server_context
from tests.kafka.tokens import token

Answer = Callable[["Got"], tuple[int, bytes]]


class Got:
    """A request to the endpoint."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method, self.path, self.headers = handler.command, handler.path, handler.headers
        length = int(handler.headers.get("Content-Length", "0"))
        self.form = parse_qs(handler.rfile.read(length).decode())


@contextmanager
def endpoint(answer: Answer, certificate: Path | None = None) -> Iterator[str]:
    """The URL of a server that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            status, text = answer(Got(self))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        server.socket = server_context(certificate).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tokens(url: str, **more: str) -> OidcTokens:
    """Of an endpoint; underscores stand for dots, in names below `sasl.oauthbearer`."""
    given = {
        "method": "oidc",
        "token_endpoint_url": url,
        "client_id": "me",
        "client_secret": "hunter2",
        **more,
    }
    properties = {
        (name if "." in name else f"sasl.oauthbearer.{name.replace('_', '.')}"): value
        for name, value in given.items()
    }
    access = {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}
    return OidcTokens(translated({**access, **properties}).values)


def given(**answer: object) -> Answer:
    return lambda _: (200, json.dumps(answer).encode())


async def three(of: OidcTokens) -> list[str]:
    """Two at once, and one afterwards."""
    both = await asyncio.gather(of.get(5.0), of.get(5.0))
    return [*both, await of.get(5.0)]


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        ({"access_token": token("u")}, 1),
        ({"access_token": "opaque", "expires_in": 100}, 1),
        ({"access_token": "opaque"}, 2),
        ({"access_token": "opaque", "expires_in": 0}, 2),
    ],
)
def test_a_token_is_kept_until_shortly_before_it_expires(
    answer: dict[str, object], asked: int
) -> None:
    """By its own word, or the endpoint's; one of which neither says it is asked for each time."""
    calls: list[Got] = []

    def counted(got: Got) -> tuple[int, bytes]:
        calls.append(got)
        return 200, json.dumps(answer).encode()

    with endpoint(counted) as url:
        found = asyncio.run(three(tokens(url)))
    assert found == [answer["access_token"]] * 3
    assert len(calls) == asked


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda _: (500, b"<html>"), "answers 500 without a JSON object"),
        (lambda _: (200, b"[1]"), "without a JSON object"),
        (lambda _: (401, b'{"error": "no\\nway", "error_description": "x"}'), "no way: x"),
        (given(error="invalid_scope"), "invalid_scope"),
        (given(access_token=7), "gives no access_token"),
        (given(access_token="a", expires_in="soon"), "soon"),
    ],
)
def test_what_is_no_token_is_said(answer: Answer, says: str) -> None:
    """With the endpoint, in one line, and without what is secret; then it is asked again."""
    with endpoint(answer) as url:
        source = tokens(f"{url}?secret=hunter3")
        for _ in range(2):
            with pytest.raises(RefusedError) as refused:
                asyncio.run(source.get(5.0))
            text = str(refused.value)
            assert says in text, text
            assert url in text
            assert "\n" not in text
            assert "hunter" not in text


def test_an_endpoint_that_hangs_has_its_time() -> None:
    """And not more."""
    gate = threading.Event()

    def hang(_: Got) -> tuple[int, bytes]:
        gate.wait(20.0)
        return 200, b""

    with endpoint(hang) as url:
        with pytest.raises(RefusedError, match="does not answer"):
            asyncio.run(tokens(url).get(0.2))
        gate.set()


def test_an_endpoint_is_trusted_by_its_own_certificates(tmp_path: Path) -> None:
    """`https.ca.location` and `https.ca.pem`, which are not those of brokers."""
    certificate = self_signed(tmp_path)
    with endpoint(given(access_token="a"), certificate) as url:
        by_file = tokens(url, **{"https.ca.location": str(certificate)})
        assert asyncio.run(by_file.get(5.0)) == "a"
        by_text = tokens(url, **{"https.ca.pem": certificate.read_text()})
        assert asyncio.run(by_text.get(5.0)) == "a"
        with pytest.raises(RefusedError, match="certificate"):
            asyncio.run(tokens(url, **{"ssl.ca.location": str(certificate)}).get(5.0))
        with pytest.raises(RefusedError, match=r"https\.ca\.location: Not a directory"):
            asyncio.run(tokens(url, **{"https.ca.location": "/dev/null/missing"}).get(5.0))


def parts(jwt: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what is signed, and the signature."""
    head, body, signature = jwt.split(".")

    def decoded(part: str) -> bytes:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))

    signed = f"{head}.{body}".encode()
    return json.loads(decoded(head)), json.loads(decoded(body)), signed, decoded(signature)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_client_may_prove_itself_by_a_signed_assertion(tmp_path: Path, algorithm: str) -> None:
    """The grant of RFC 7523: claims of the properties and of a template, signed by the key."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = (
        rsa.generate_private_key(65537, 2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"pass"),
    )
    (tmp_path / "key.pem").write_bytes(pem)
    template = {"header": {"kid": "k1"}, "payload": {"sub": "of-template", "extra": 1}}
    (tmp_path / "template.json").write_text(json.dumps(template))
    got: list[Got] = []

    def take(request: Got) -> tuple[int, bytes]:
        got.append(request)
        return 200, b'{"access_token": "a"}'

    with endpoint(take) as url:
        prefix = "assertion_"
        source = tokens(
            url,
            grant_type=JWT_BEARER,
            **{
                f"{prefix}algorithm": algorithm,
                f"{prefix}private_key_file": str(tmp_path / "key.pem"),
                f"{prefix}private_key_passphrase": "pass",
                f"{prefix}claim_iss": "me",
                f"{prefix}claim_aud": "there",
                f"{prefix}claim_jti_include": "true",
                f"{prefix}jwt_template_file": str(tmp_path / "template.json"),
            },
        )
        assert asyncio.run(source.get(5.0)) == "a"
    form = got[0].form
    assert form["grant_type"] == [JWT_BEARER]
    assert "Authorization" not in got[0].headers
    header, claims, signed, signature = parts(form["assertion"][0])
    assert header == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    assert (claims["iss"], claims["aud"], claims["sub"]) == ("me", "there", "of-template")
    assert claims["nbf"] <= time.time() <= claims["exp"]
    assert claims["jti"]
    if isinstance(key, rsa.RSAPrivateKey):
        key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        halves = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
        encoded = utils.encode_dss_signature(*halves)
        key.public_key().verify(encoded, signed, ec.ECDSA(hashes.SHA256()))


def test_a_machine_in_azure_asks_for_its_own_identity() -> None:
    """By a GET with the query of the configuration and the header that keeps others out."""
    got: list[Got] = []

    def take(request: Got) -> tuple[int, bytes]:
        got.append(request)
        return 200, b'{"access_token": "a", "expires_in": "3600"}'

    with endpoint(take) as url:
        source = tokens(
            url,
            metadata_authentication_type="azure_imds",
            config="query=api-version=2018-02-01&resource=r",
        )
        assert asyncio.run(three(source)) == ["a"] * 3
    assert [(one.method, one.path) for one in got] == [
        ("GET", "/token?api-version=2018-02-01&resource=r")
    ]
    assert got[0].headers["Metadata"] == "true"


def test_an_unsigned_token_has_what_its_configuration_says() -> None:
    """As librdkafka reads it."""
    jwt, more = unsecured(
        "principalClaimName=azp principal=me scopeClaimName=roles scope=a,b lifeSeconds=60 "
        "extension_trace=1"
    )
    head, body, end = jwt.split(".")
    assert end == ""
    header = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    claims = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert header == {"alg": "none"}
    assert (claims["azp"], claims["roles"]) == ("me", ["a", "b"])
    assert claims["exp"] - claims["iat"] == 60
    assert more == {"trace": "1"}
    with pytest.raises(RefusedError, match="no principal"):
        unsecured("scope=a")


def test_extensions_are_pairs() -> None:
    """Between commas."""
    name = "sasl.oauthbearer.extensions"
    assert extensions({name: "a=1, b=2,"}) == {"a": "1", "b": "2"}
    assert extensions({}) == {}


def test_no_proxy_reads_the_clients_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """By plain http it could."""
    with endpoint(lambda _: (502, b"")) as proxy, endpoint(given(access_token="opaque")) as url:
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, proxy.removesuffix("/token"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert asyncio.run(tokens(url).get(5.0)) == "opaque"
