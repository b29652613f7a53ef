"""Settings of brokers' metrics pages: `clusters[].broker_metrics` in the config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from operators.schema.settings import BrokerId, Settings, one_password, part
from operators.schema.urls import http_parts


def _page(url: str) -> str:
    http_parts(url, "write the page's URL like http://broker-1:7071/metrics")
    return url


PageUrl = Annotated[str, AfterValidator(_page)]


def _one_line(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("a token is one line of ASCII")
    return token


BearerToken = Annotated[SecretStr, AfterValidator(_one_line)]


class TlsSettings(Settings):
    """How pages by https are trusted, and how mqpipe shows who it is."""

    ca: Path | None = Field(
        default=None, description="file of the certificates to trust, in PEM; else the system's"
    )
    certificate: Path | None = Field(
        default=None, description="file of the certificate to show, in PEM"
    )
    key: Path | None = Field(default=None, description="file of its private key, in PEM")
    verify: bool = Field(
        default=True, description="whether a page's certificate and host name must be right"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("a key belongs to a certificate: give both")
        return self


class BasicAuthSettings(Settings):
    """User and password of the pages."""

    username: str = Field(pattern="^[^:]+$", description="the user")
    password: SecretStr | None = Field(default=None, description="the user's password")
    password_file: Path | None = Field(
        default=None, description="file that holds it, read at every tick"
    )

    _one_password = one_password


class PagesSettings(Settings):
    """Where brokers' Prometheus pages are, and how they are asked."""

    urls: dict[BrokerId, PageUrl] = Field(
        default_factory=dict,
        description="the page of each broker, by broker id; where nothing else is to be said they "
        "may stand in `broker_metrics` itself",
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="in place of `urls`: all brokers' pages are at this port of the hosts that "
        "the cluster's metadata names",
    )
    path: str = Field(default="/metrics", pattern="^/", description="path of the pages at `port`")
    scheme: Literal["http", "https"] = Field(
        default="http", description="http or https, of the pages at `port`"
    )
    tls: TlsSettings = part("of pages by https")
    basic_auth: BasicAuthSettings | None = Field(default=None, description="user and password")
    bearer_token: BearerToken | None = Field(default=None, description="a token that is shown")
    bearer_token_file: Path | None = Field(
        default=None, description="file that holds it, read at every tick"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.urls and self.port is not None:
            raise ValueError("give `urls`, or a `port` at the brokers' own hosts, not both")
        ways = (self.basic_auth, self.bearer_token, self.bearer_token_file)
        if sum(way is not None for way in ways) > 1:
            raise ValueError("give one of basic_auth, bearer_token and bearer_token_file")
        if any(ways) and any("@" in urlsplit(url).netloc for url in self.urls.values()):
            raise ValueError("a URL has a user already: leave that, or the other way, out")
        if not self and self.model_fields_set:
            raise ValueError("say where the pages are: by `port`, or by `urls`")
        return self

    def __bool__(self) -> bool:
        """Whether there are pages at all."""
        return bool(self.urls) or self.port is not None

    def urls_of(self, brokers: Mapping[int, str]) -> Mapping[int, str]:
        """The page of each broker; `brokers` are the live ones' `host:port` by id."""
        if self.port is None:
            return self.urls
        return {
            broker: f"{self.scheme}://{address.rpartition(':')[0]}:{self.port}{self.path}"
            for broker, address in sorted(brokers.items())
        }


def _by_broker(given: Any) -> Any:
    """URLs by broker id may stand by themselves."""
    if isinstance(given, Mapping) and given and all(str(key).isdecimal() for key in given):
        return {"urls": given}
    return given


BrokerPages = Annotated[
    PagesSettings,
    BeforeValidator(_by_broker, json_schema_input_type=dict[BrokerId, PageUrl] | PagesSettings),
]
"""`PagesSettings`, or its `urls` alone."""
