"""Settings of what shows a job to machines."""

from pydantic import Field, field_validator

from flows.addresses import parse_address
from operators.schema.settings import Settings


class MetricsSettings(Settings):
    """Where a job can be watched."""

    listen: str | None = Field(
        default="127.0.0.1:9464",
        description="address of /metrics and /health; in a cluster the process id is added to "
        "the port; null serves none",
    )

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, listen: str | None) -> str | None:
        if listen is not None:
            parse_address(listen)
        return listen
