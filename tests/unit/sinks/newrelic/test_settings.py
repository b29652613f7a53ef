"""Settings of the New Relic sink, and what each answer means."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sinks.delivery import Rejected, RetryLater, TooLarge
from sinks.newrelic.destination import NewRelic, judge
from sinks.newrelic.settings import NewRelicSettings

KEY = "0123456789abcdef"


def settings(**options: Any) -> NewRelicSettings:
    return NewRelicSettings.model_validate({"license_key": KEY, **options})


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://proxy.example",
        "https://proxy.example:8443/",
        "http://localhost:1",
        "http://127.0.0.7:1",
        "http://[::1]:1",
    ],
)
def test_an_endpoint_is_a_scheme_and_a_host(endpoint: str) -> None:
    """It stands before New Relic's own paths."""
    host = endpoint.rstrip("/")
    assert settings(endpoint=endpoint).events_url(7) == f"{host}/v1/accounts/7/events"
    assert settings(endpoint=endpoint).metrics_url() == f"{host}/metric/v1"


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("http://collector.example", "loopback"),
        ("http://127.0.0.1.example", "loopback"),
        ("http://10.0.0.1", "loopback"),
        ("ftp://localhost", "scheme"),
        ("localhost:80", "scheme"),
        ("https://", "scheme"),
        ("https://user:pass@proxy.example", "only"),
        ("https://proxy.example/path", "only"),
        ("https://proxy.example?a=b", "only"),
        ("https://proxy.example:port", "port"),
    ],
)
def test_an_unsafe_endpoint_is_refused(endpoint: str, message: str) -> None:
    """Plain http beyond loopback would show the key; paths and credentials have no place here."""
    with pytest.raises(ValidationError, match=message):
        settings(endpoint=endpoint)


def test_the_region_chooses_the_hosts() -> None:
    """US without a word, others on request."""
    assert settings().events_url(1) == (
        "https://insights-collector.newrelic.com/v1/accounts/1/events"
    )
    assert settings().metrics_url() == "https://metric-api.newrelic.com/metric/v1"
    jp = settings(region="JP")
    assert jp.events_url(1) == "https://insights-collector.jp.nr-data.net/v1/accounts/1/events"
    assert jp.metrics_url() == "https://metric-api.jp.nr-data.net/metric/v1"
    eu = settings(region="EU")
    assert eu.events_url(1) == "https://insights-collector.eu01.nr-data.net/v1/accounts/1/events"
    assert eu.metrics_url() == "https://metric-api.eu.newrelic.com/metric/v1"


def test_each_api_may_have_an_endpoint_of_its_own() -> None:
    """Before the one of both."""
    found = settings(endpoint="https://both.example", metrics_endpoint="https://m.example")
    assert found.events_url(1) == "https://both.example/v1/accounts/1/events"
    assert found.metrics_url() == "https://m.example/metric/v1"
    assert settings(events_endpoint="https://e.example").events_url(1).startswith("https://e.")


@pytest.mark.parametrize("region", ["US", "EU", "JP"])
def test_a_key_of_another_region_is_refused(region: str, tmp_path: Path) -> None:
    """Its prefix says of which it is; New Relic would answer 403 only when samples come."""
    other = {"US": "eu01xx", "EU": "jp01xx", "JP": "eu01xx"}[region] + KEY[6:]
    with pytest.raises(ValidationError, match=r"the licence key is of region (EU|JP)"):
        settings(region=region, license_key=other)
    assert settings(region=region, license_key=other, endpoint="https://proxy.example")
    file = tmp_path / "key"
    file.write_text(other)
    with pytest.raises(ValueError, match="the licence key is of region"):
        NewRelicSettings.model_validate(
            {"license_key_file": file, "region": region}
        ).read_license_key()


@pytest.mark.parametrize(
    "options",
    [{}, {"license_key": KEY, "license_key_file": "key"}, {"license_key": "  "}],
    ids=["none", "both", "empty"],
)
def test_there_is_exactly_one_key(options: dict[str, Any]) -> None:
    """A key, or a file that holds it."""
    with pytest.raises(ValidationError, match="license_key"):
        NewRelicSettings.model_validate(options)


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    """White space around it does not count; an empty file is refused by name."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    found = NewRelicSettings(license_key_file=file)
    assert found.read_license_key().get_secret_value() == KEY
    file.write_text("\n")
    with pytest.raises(ValueError, match="key is empty"):
        found.read_license_key()


def test_white_space_around_a_key_is_not_part_of_it() -> None:
    """A variable that holds a secret often ends in a line break; no header may have one."""
    found = settings(license_key=f"{KEY}\n").read_license_key()
    assert found.get_secret_value() == KEY


def test_the_key_is_never_shown() -> None:
    """Neither settings nor the destination show it."""
    assert KEY not in repr(settings()) + str(settings().model_dump()) + repr(
        vars(NewRelic(settings(), 1, 30_000))
    )


@pytest.mark.parametrize("status", [200, 202, 204])
def test_good_answers_are_delivered(status: int) -> None:
    """2xx raises nothing."""
    judge(status, None, "")


@pytest.mark.parametrize(
    ("status", "retry_after", "after"),
    [
        (408, None, None),
        (429, None, None),
        (429, 17.0, 17.0),
        (500, 17.0, 17.0),
        (503, None, None),
        (503, 17.0, 17.0),
        (599, None, None),
    ],
)
def test_answers_that_may_pass(status: int, retry_after: float | None, after: float | None) -> None:
    """408, 429 and 5xx are tried again, when they say."""
    with pytest.raises(RetryLater) as caught:
        judge(status, retry_after, "")
    assert caught.value.after == after


@pytest.mark.parametrize(
    "status", [301, 307, 400, 401, 403, 404, 405, 409, 410, 411, 414, 415, 418, 431]
)
def test_answers_that_will_not_pass(status: int) -> None:
    """Everything else is refused for good, with what was said."""
    with pytest.raises(Rejected) as caught:
        judge(status, None, "because")
    assert (type(caught.value), caught.value.status, caught.value.answer) == (
        Rejected,
        status,
        "because",
    )


def test_413_is_too_large() -> None:
    """The one answer that asks for a split."""
    with pytest.raises(TooLarge):
        judge(413, None, "")


@pytest.mark.parametrize(
    ("options", "local"),
    [
        ({}, False),
        ({"region": "EU"}, False),
        ({"endpoint": "https://proxy.example:8443"}, False),
        ({"endpoint": "http://localhost:1"}, True),
        ({"endpoint": "https://127.0.0.1:1"}, True),
        ({"endpoint": "http://[::1]:1"}, True),
    ],
)
def test_proxies_are_for_what_is_not_on_this_machine(options: dict[str, Any], local: bool) -> None:
    """Plain http, by which a proxy would read the key, is for this machine alone."""
    assert settings(**options).is_local is local


def test_a_key_in_the_place_of_its_file_is_not_repeated() -> None:
    """An easy slip: the variable of the key, at the setting of the file."""
    key = "0123456789abcdef0123456789abcdef0123NRAL"
    settings = NewRelicSettings(license_key_file=Path(key))
    with pytest.raises(ValueError, match="looks like a key, not like a file's name") as caught:
        settings.read_license_key()
    assert key not in str(caught.value)
