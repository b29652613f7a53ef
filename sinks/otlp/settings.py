"""The settings of the OTLP sink."""

import re
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from operators.schema.settings import Duration, Settings, part
from operators.schema.urls import http_parts, is_loopback
from sinks.spool.settings import SpoolSettings

if TYPE_CHECKING:
    from sinks.sink import Sink

NAME = "otlp"

PATH = "/v1/metrics"
"""Where metrics are posted below an endpoint."""

PAYLOAD_BYTES = 1_000_000
"""The most bytes of a compressed request: New Relic takes no more, others take it too."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = ("content-type", "content-encoding", "content-length", "transfer-encoding", "host")


class OtlpSettings(Settings):
    """Delivery over OTLP (HTTP, binary protobuf) to any backend that takes it."""

    endpoint: str = Field(
        description="base URL of the receiver, as https://otlp.nr-data.net; `/v1/metrics` is added "
        "where it does not end so; with `headers`, plain http only to loopback"
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="headers of each request, such as `api-key`"
    )
    compression: Literal["zstd", "gzip"] = Field(
        default="zstd", description="how bodies are compressed; every receiver takes gzip"
    )
    temporality: Literal["delta", "cumulative"] = Field(
        default="delta",
        description="whether counters report what each interval had, or all since their start",
    )
    timeout: Duration = Field(default=30.0, gt=0, description="how long one request may take")
    spool: SpoolSettings = part("where samples wait for their delivery")

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_a_url(cls, endpoint: str) -> str:
        parts = http_parts(endpoint, "the endpoint is a URL, like https://otlp.nr-data.net:4318")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("the endpoint has no user, query or fragment: keys go into `headers`")
        return endpoint.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _headers_are_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError("a header's name is of letters, digits and `-`")
            if name.lower() in _OURS:
                raise ValueError(f"the header `{name}` is made by mqpipe: leave it out")
            text = value.get_secret_value().strip()
            if not text or not text.isprintable():
                raise ValueError(f"the header `{name}` is empty, or of more than one line")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header is there twice, in capitals and not")
        return headers

    @model_validator(mode="after")
    def _headers_stay_secret(self) -> Self:
        if urlsplit(self.endpoint).scheme == "http" and self.headers and not self.is_local:
            raise ValueError(
                "with `headers`, plain http is for loopback only: keys in them would be readable; "
                "use https"
            )
        return self

    @property
    def url(self) -> str:
        """Where metrics are posted."""
        return self.endpoint if self.endpoint.endswith(PATH) else f"{self.endpoint}{PATH}"

    @property
    def is_local(self) -> bool:
        """Whether samples stay on this machine."""
        return is_loopback(urlsplit(self.endpoint).hostname or "")

    @property
    def is_newrelic(self) -> bool:
        """Whether this is New Relic, which has rules of its own."""
        return (urlsplit(self.endpoint).hostname or "").endswith(".nr-data.net")

    @property
    def host(self) -> str:
        """The receiver's name and port."""
        return urlsplit(self.endpoint).netloc

    def read_headers(self) -> dict[str, str]:
        """The headers in clear: for requests, never to be shown."""
        # A variable that was made of a file often ends in a line break, which no header may have.
        return {name: value.get_secret_value().strip() for name, value in self.headers.items()}

    def sink(self) -> "Sink":
        """The sink of these settings."""
        from sinks.otlp.sink import otlp_sink

        return otlp_sink(self)
