"""The settings of the New Relic sink."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from operators.schema.secrets import looks_like_key
from operators.schema.settings import ByteSize, Duration, part
from operators.schema.urls import http_parts, is_loopback
from sinks.settings import OfAccount
from sinks.spool.settings import SpoolSettings

if TYPE_CHECKING:
    from sinks.sink import Sink

NAME = "newrelic"
"""Of the sink: its key in the configuration, and its step in the dataflow."""

PAYLOAD_BYTES = 1_000_000
"""The most bytes that New Relic takes in one POST."""


class Region(StrEnum):
    """Where the account's data lives."""

    US = "US"
    EU = "EU"
    JP = "JP"


class Shape(StrEnum):
    """As what samples are sent."""

    EVENTS = "events"
    METRICS = "metrics"
    BOTH = "both"


_HOSTS = {
    Region.US: ("https://insights-collector.newrelic.com", "https://metric-api.newrelic.com"),
    Region.EU: (
        "https://insights-collector.eu01.nr-data.net",
        "https://metric-api.eu.newrelic.com",
    ),
    Region.JP: ("https://insights-collector.jp.nr-data.net", "https://metric-api.jp.nr-data.net"),
}
"""Scheme and host of the Event API and of the Metric API (New Relic's page on networks)."""

_KEY_REGION = re.compile(r"^([a-z]{2})[a-z]*[0-9]{2}x", re.IGNORECASE)
"""A licence key of a region other than US begins with it: `eu01xx…`."""


class NewRelicSettings(OfAccount):
    """Delivery to New Relic."""

    title: ClassVar[str] = "New Relic"

    license_key: SecretStr | None = Field(
        default=None, description="ingest licence key of the account"
    )
    license_key_file: Path | None = Field(
        default=None, description="file that holds the licence key"
    )
    region: Region = Field(default=Region.US, description="region of the account")
    endpoint: str | None = Field(
        default=None,
        description="replaces scheme and host of New Relic's URLs; plain http only to loopback",
    )
    events_endpoint: str | None = Field(
        default=None, description="the same of the Event API alone; before `endpoint`"
    )
    metrics_endpoint: str | None = Field(
        default=None, description="the same of the Metric API alone; before `endpoint`"
    )
    shape: Shape | None = Field(
        default=None,
        description="send samples as events, as metrics, or as both; by default as events, and "
        "as metrics what New Relic's own entities, dashboards and golden metrics ask for",
    )
    pool_events: Literal["failures", "all"] | None = Field(
        default=None,
        description="also send what happens in pools, as events: what is not as usual, or all",
    )
    spool: SpoolSettings = part("where samples wait for their delivery")
    timeout: Duration = Field(default=30.0, gt=0, description="how long one request may take")
    uncompressed: ByteSize = Field(
        default=PAYLOAD_BYTES,
        gt=0,
        description="the most bytes of a payload before compression; compressed ones are held "
        "under New Relic's 1 MB in any case",
    )

    @field_validator("endpoint", "events_endpoint", "metrics_endpoint")
    @classmethod
    def _endpoint_is_safe(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        parts = http_parts(
            endpoint, "the endpoint is a scheme and a host, like https://proxy.example:8443"
        )
        if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("the endpoint is a scheme and a host only; New Relic's paths stay")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError(
                "plain http is for loopback only: the licence key would be readable; use https"
            )
        return endpoint.rstrip("/")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.license_key is None) == (self.license_key_file is None):
            raise ValueError("give exactly one of license_key and license_key_file")
        if self.license_key is not None and not self.license_key.get_secret_value().strip():
            raise ValueError("license_key is empty")
        if self.license_key is not None:
            self._require_region(self.license_key.get_secret_value().strip())
        return self

    def _require_region(self, key: str) -> None:
        """Nothing, where the key is of the account's region, or goes elsewhere.

        Raises:
            ValueError: New Relic would refuse it.
        """
        if self.endpoint or self.events_endpoint or self.metrics_endpoint:
            return
        found = _KEY_REGION.match(key)
        of = found.group(1).upper() if found else self.region.value
        if of in tuple(Region) and of != self.region:
            raise ValueError(
                f"the licence key is of region {of}, and `region` is {self.region}: set "
                f"`region: {of}`, or give a key of {self.region}"
            )

    def read_license_key(self) -> SecretStr:
        """The licence key, read from its file where it lies in one.

        Raises:
            ValueError: the file cannot be read, or is empty.
        """
        if self.license_key is not None:
            # A variable that was made of a file often ends in a line break, which no header may have.
            return SecretStr(self.license_key.get_secret_value().strip())
        assert self.license_key_file is not None  # noqa: S101 - `_one_key` holds it
        where = f"sinks.newrelic.license_key_file: {self.license_key_file}"
        if looks_like_key(str(self.license_key_file)):
            raise ValueError(
                "sinks.newrelic.license_key_file: this looks like a key, not like a file's name; "
                "write it as license_key"
            )
        try:
            key = self.license_key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise ValueError(f"{where} cannot be read: {why}; put the licence key there") from error
        if not key:
            raise ValueError(f"{where} is empty; put the licence key there")
        self._require_region(key)
        return SecretStr(key)

    def sink(self) -> "Sink":
        """The sink of these settings."""
        from sinks.newrelic.sink import newrelic_sink

        return newrelic_sink(self)

    @property
    def is_local(self) -> bool:
        """Whether samples stay on this machine; plain http is for this alone."""
        hosts = [urlsplit(url).hostname for url in (self.events_url(0), self.metrics_url())]
        return all(host is not None and is_loopback(host) for host in hosts)

    def events_url(self, account_id: int) -> str:
        """Where events are posted."""
        host = self.events_endpoint or self.endpoint or _HOSTS[self.region][0]
        return f"{host}/v1/accounts/{account_id}/events"

    def metrics_url(self) -> str:
        """Where metrics are posted."""
        host = self.metrics_endpoint or self.endpoint or _HOSTS[self.region][1]
        return f"{host}/metric/v1"
