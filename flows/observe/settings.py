"""Settings of what shows a job to machines."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from flows.addresses import parse_address
from operators.schema.settings import EachOnce, Settings, one_password
from operators.schema.urls import is_loopback


class ServerTlsSettings(Settings):
    """What the server shows of itself; files that change are read again."""

    cert: Path = Field(description="file of the certificate, with its chain, in PEM")
    key: Path = Field(description="file of its private key, in PEM")


class ServerBasicAuthSettings(Settings):
    """Who may read."""

    user: str = Field(pattern="^[^:]+$", description="the user")
    password: SecretStr | None = Field(default=None, min_length=1, description="the password")
    password_file: Path | None = Field(
        default=None, description="file that holds it, read at each request"
    )

    _one_password = one_password

    def secret(self) -> str:
        """The password as it is now.

        Raises:
            OSError, UnicodeDecodeError: its file cannot be read.
        """
        if self.password_file is not None:
            return self.password_file.read_text().strip()
        return "" if self.password is None else self.password.get_secret_value()


SampleLabel = Literal["origin", "anomaly", "environment", "provider", "cluster_id"]


class MetricsSettings(Settings):
    """Where a job can be watched."""

    listen: str | None = Field(
        default="127.0.0.1:9464",
        description="address of /metrics and /health; in a cluster the process id is added to "
        "the port; null serves none",
    )
    tls: ServerTlsSettings | None = Field(default=None, description="serve by https")
    basic_auth: ServerBasicAuthSettings | None = Field(
        default=None,
        description="ask for user and password; probes learn without them whether it is live and "
        "ready, and nothing else",
    )
    open: bool = Field(
        default=False,
        description="let whoever reaches `listen` read: an address that is not this machine's own "
        "needs this word, `tls` or `basic_auth`",
    )
    samples: bool = Field(
        default=False, description="the latest sample of each entity on /metrics too"
    )
    compatible: Literal["kafka_exporter"] | None = Field(
        default=None, description="kafka_exporter: Kafka's figures by its names on /metrics too"
    )
    labels: Annotated[tuple[SampleLabel, ...], EachOnce] = Field(
        default=(),
        description="columns of samples that are labels too: origin, anomaly, environment, "
        "provider, cluster_id",
    )

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, listen: str | None) -> str | None:
        if listen is not None:
            parse_address(listen)
        return listen

    @model_validator(mode="after")
    def _known_to_be_open(self) -> Self:
        if self.listen is None or self.open or self.tls or self.basic_auth:
            return self
        host, _ = parse_address(self.listen)
        if not is_loopback(host):
            raise ValueError(
                f"whoever reaches {self.listen} could read what runs here: give `tls` or "
                "`basic_auth`, or say `open: true` where a network policy or a firewall sees to it"
            )
        return self
