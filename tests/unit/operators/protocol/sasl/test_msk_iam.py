"""Amazon MSK's access by IAM, before a stand-in that checks the signature."""

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from confluent_kafka.admin import AdminClient
from kafka.net.sasl.msk import AwsMskIamClient
from pydantic import ValidationError

from operators.protocol import Client, RequestError
from operators.protocol.properties import PropertyError, translated
from operators.protocol.sasl.msk_iam import signed
from operators.schema import msk_iam
from operators.schema.kafka import KafkaConnection
from tests.certificates import self_signed, server_context
from tests.unit.operators.protocol.broker import Asked, answer_to, broker, groups_answer, read

KEY, SECRET, SESSION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "a/b+c="
MSK_HOST = "b-1.cluster.abc123.c2.kafka.eu-west-1.amazonaws.com"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the documentation's examples, and no machine's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    msk_iam._session.cache_clear()


def signature(
    host: str, path: str, query: dict[str, str], payload: str, service: str, secret: str
) -> str:
    """Signature V4 of a GET by its query, as AWS's documentation says to compute it."""
    credential = query["X-Amz-Credential"].split("/")
    date, region = credential[1], credential[2]
    canonical_query = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items())
    )
    canonical = f"GET\n{path}\n{canonical_query}\nhost:{host}\n\nhost\n{payload}"
    scope = f"{date}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def test_the_stand_in_computes_the_published_signature() -> None:
    """The example of "Authenticating Requests: Using Query Parameters" in Amazon S3's API."""
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{KEY}/20130524/us-east-1/s3/aws4_request",
        "X-Amz-Date": "20130524T000000Z",
        "X-Amz-Expires": "86400",
        "X-Amz-SignedHeaders": "host",
    }
    found = signature(
        "examplebucket.s3.amazonaws.com", "/test.txt", query, "UNSIGNED-PAYLOAD", "s3", SECRET
    )
    assert found == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def is_signed(said: dict[str, str]) -> bool:
    """Whether what a client says holds, as a broker of MSK finds out."""
    names = {"action": "Action", "x-amz-signedheaders": "X-Amz-SignedHeaders"}
    query = {
        names.get(name, name.title()): value
        for name, value in said.items()
        if name.startswith(("x-amz-", "action")) and name != "x-amz-signature"
    }
    empty = hashlib.sha256().hexdigest()
    expected = signature(said["host"], "/", query, empty, "kafka-cluster", SECRET)
    return said["x-amz-signature"] == expected and said["action"] == "kafka-cluster:Connect"


@pytest.mark.parametrize(("right", "error_class"), [(True, None), (False, "auth")])
def test_a_broker_that_checks_the_signature_lets_the_client_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: bool, error_class: str | None
) -> None:
    """And not with another secret; the secret is not sent, nor said."""
    if not right:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    certificate = self_signed(tmp_path)
    messages: list[dict[str, str]] = []

    async def msk(request: Asked, writer: asyncio.StreamWriter) -> None:
        if request.key == 17:
            known = read(request).mechanism == "AWS_MSK_IAM"
            mechanisms = ["AWS_MSK_IAM"]
            answer = answer_to(request, error_code=0 if known else 33, mechanisms=mechanisms)
        elif request.key == 36:
            messages.append(json.loads(bytes(read(request).auth_bytes)))
            if is_signed(messages[-1]):
                said = b'{"version":"2020_10_22","request-id":"1"}'
                answer = answer_to(request, error_code=0, error_message=None, auth_bytes=said)
            else:
                answer = answer_to(request, error_code=58, error_message="no", auth_bytes=b"")
        else:
            answer = groups_answer(request, "a-group")
        writer.write(answer)

    async def run() -> None:
        async with broker(msk, tls=server_context(certificate)) as there:
            properties = {
                **there.properties,
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "AWS_MSK_IAM",
                "ssl.ca.location": str(certificate),
            }
            client = Client("a-cluster", properties)
            try:
                (group,) = (await client.ask("ListGroups", 10.0)).groups
            finally:
                await client.close()
            assert group.group_id == "a-group"

    if error_class is None:
        asyncio.run(asyncio.wait_for(run(), 30.0))
    else:
        with pytest.raises(RequestError) as refused:
            asyncio.run(asyncio.wait_for(run(), 30.0))
        assert refused.value.error_class == error_class
        assert "AWS_MSK_IAM" in str(refused.value)
    assert "another" not in str(messages)
    assert SECRET not in str(messages)


def test_what_is_said_is_what_kafka_python_says() -> None:
    """Another's client of this mechanism, at the same moment with the same credentials."""
    said = signed(MSK_HOST)
    other = AwsMskIamClient(MSK_HOST, KEY, SECRET, "eu-west-1", SESSION)
    other.timestamp = said["x-amz-date"]
    other.datestamp = other.timestamp[:8]
    theirs = json.loads(other.first_message())
    assert {**said, "user-agent": ""} == {**theirs, "user-agent": ""}


def test_the_region_is_that_of_the_brokers_name_or_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Provisioned and serverless clusters, and custom names."""
    hosts = {
        MSK_HOST: "eu-west-1",
        "boot-x.c2.kafka-serverless.ap-southeast-2.amazonaws.com": "ap-southeast-2",
        "kafka.example.com": "us-east-1",
    }
    for host, region in hosts.items():
        assert signed(host)["x-amz-credential"].split("/")[2] == region
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    msk_iam._session.cache_clear()
    with pytest.raises(Exception, match="set AWS_REGION"):
        signed("kafka.example.com")


def test_without_credentials_it_is_said_where_they_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an error of the class auth, by its text."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    msk_iam._session.cache_clear()
    with pytest.raises(Exception, match="no AWS credentials"):
        signed(MSK_HOST)


def test_a_token_for_librdkafka_is_the_signed_url() -> None:
    """As AWS's own signers make it: for the region's endpoint, for a quarter of an hour."""
    token, expires = msk_iam.token(MSK_HOST)
    url = urlsplit(urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    query = dict(parse_qsl(url.query))
    assert (url.scheme, url.netloc, url.path) == ("https", "kafka.eu-west-1.amazonaws.com", "/")
    assert query.pop("User-Agent") == "mqpipe"
    found = query.pop("X-Amz-Signature")
    empty = hashlib.sha256().hexdigest()
    assert found == signature(url.netloc, "/", query, empty, "kafka-cluster", SECRET)
    assert query["X-Amz-Expires"] == "900"
    assert expires % 1 == 0


def test_librdkafka_sends_such_a_token(tmp_path: Path) -> None:
    """The sink, the replay and the probe connect by OAUTHBEARER, which MSK takes as well."""
    certificate = self_signed(tmp_path)
    messages: list[bytes] = []
    came = asyncio.Event()

    async def msk(request: Asked, writer: asyncio.StreamWriter) -> None:
        if request.key == 17:
            assert read(request).mechanism == "OAUTHBEARER"
            writer.write(answer_to(request, error_code=0, mechanisms=["OAUTHBEARER"]))
        elif request.key == 36:
            messages.append(bytes(read(request).auth_bytes))
            came.set()
            writer.close()

    async def run() -> None:
        async with broker(msk, tls=server_context(certificate)) as there:
            connection = KafkaConnection.model_validate(
                {
                    "bootstrap_servers": f"127.0.0.1:{there.port}",
                    "client": {
                        "security.protocol": "SASL_SSL",
                        "sasl.mechanism": "AWS_MSK_IAM",
                        "ssl.ca.location": str(certificate),
                        "log_level": 0,
                    },
                }
            )
            admin = AdminClient(connection.client_config())
            await asyncio.wait_for(came.wait(), 20.0)
            del admin

    asyncio.run(run())
    token = messages[0].split(b"auth=Bearer ")[1].split(b"\1")[0].decode()
    url = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    assert url.startswith("https://kafka.us-east-1.amazonaws.com/?Action=kafka-cluster%3AConnect&")


def test_it_is_refused_without_tls_or_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the configuration: for collection, and for what librdkafka connects."""
    clear = {"sasl.mechanism": "aws_msk_iam", "security.protocol": "SASL_PLAINTEXT"}
    encrypted = {**clear, "security.protocol": "SASL_SSL"}

    def refused(client: dict[str, str], says: str) -> None:
        with pytest.raises(PropertyError, match=says):
            translated(client)
        with pytest.raises(ValidationError) as failed:
            KafkaConnection.model_validate({"bootstrap_servers": "a:1", "client": client})
        assert says in str(failed.value)

    refused(clear, "takes `security.protocol: SASL_SSL`")
    assert translated(encrypted).mechanism == "AWS_MSK_IAM"
    monkeypatch.setattr(msk_iam, "find_spec", lambda _: None)
    refused(encrypted, "with its extra `msk`")
