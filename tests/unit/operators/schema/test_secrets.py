"""What is shown of texts that may hold passwords and keys."""

import pytest

from flows.config import Config
from flows.errors import ConfigError
from flows.loading import parse
from operators.schema.secrets import looks_like_key, shown, without_password, without_secrets

KEY = "0123456789abcdef0123456789abcdef0123NRAL"


@pytest.mark.parametrize(
    ("uri", "may_be_shown"),
    [
        ("s3://AKIA:secret@bucket/p?region=x", "s3://bucket/p?region=x"),
        ("s3://AKIA:sec/ret+x@bucket/p", "s3://bucket/p"),
        ("cannot open 's3://AKIA:secret@bucket/p'", "cannot open 's3://bucket/p'"),
        ("http://user:pass@host:80/metrics", "http://host:80/metrics"),
        ("https://token@host/x", "https://host/x"),
        ("abfss://container:pass@account/x", "abfss://container@account/x"),
        ("abfss://a@b/x?client_secret=s3cret&tenant_id=t", "abfss://a@b/x?client_secret=…&tenant_id=t"),
        ("az://c/x?sv=1&sig=abc", "az://c/x?sv=1&sig=…"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("./samples", "./samples"),
    ],
)  # fmt: skip
def test_a_uri_is_shown_without_what_is_secret_in_it(uri: str, may_be_shown: str) -> None:
    """Users, passwords and keys of a URI, also within a message, stay out of it."""
    assert without_password(uri) == may_be_shown


def test_secrets_stay_out_of_messages_wherever_they_stand() -> None:
    """Longer ones first, and short ones are words that a message needs."""
    assert without_secrets("a hunter2hunter b hunter2 c", {"hunter2", "hunter2hunter", "b"}) == (
        "a … b … c"
    )


def test_what_looks_like_a_key_is_not_repeated() -> None:
    """Nor is what is long repeated in full."""
    assert looks_like_key(KEY)
    assert not looks_like_key("payments-production-events")
    assert shown(KEY) == "…"
    assert shown("x" * 500) == "'" + "x" * 59 + "…"


def message(text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(Config, text, "c.yaml", environment or {})
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "sinks: {newrelic: %s}",
        "sinks: {newrelic: [%s]}",
        "sinks: {license_key: %s}",
        "sinks: {newrelic: {key: %s}}",
        "sinks: {newrelic: {license_key:%s}}",
        "sinks: {newrelic: {license_key: [%s]}}",
        "sinks: {newrelic: {license_key: %s, region: %s}}",
        "sinks: {newrelic: {%s: }}",
        "sinks: {kafka: {client: %s}}",
        "account_id: %s",
        "clusters: %s",
        "clusters: [%s]",
        "interval: %s",
        "mode: %s",
        "catch_up: %s",
        "dead_letters: {size: %s}",
        "simulation: {fleets: [{name: a, pattern: %s}]}",
        "simulation: {fleets: [{name: a, time_zone: %s}]}",
        "collectors: [{name: a, use: %s}]",
        "license_key_file: %s",
        "pools: {%s: {}}",
        "sinks: {parquet: {path: 'x3://u:%s@b'}}",
    ],
)
def test_a_key_at_a_wrong_place_is_not_printed(text: str) -> None:
    """Written out, by a variable, and whatever it looks like."""
    password = "correct horse"
    for given in (KEY, "${NEW_RELIC_LICENSE_KEY}"):
        variables = {"NEW_RELIC_LICENSE_KEY": KEY}
        said = message(text.replace("%s", given), variables)
        assert KEY not in said
    if "license_key: " not in text:
        variables = {"KAFKA_PASSWORD": password}
        assert password not in message(text.replace("%s", "${KAFKA_PASSWORD}"), variables)
