"""What a user can say about Parquet files."""

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from operators.schema.settings import Duration, Settings, part
from sinks.rolled.settings import RollSettings

if TYPE_CHECKING:
    from sinks.sink import Sink

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "file")
"""What a URI may begin with; a path without a scheme is a local directory."""


NAME = "parquet"
"""Of the sink: its key in the configuration, its step in the dataflow, and its folder in the job's state."""


class ParquetSettings(Settings):
    """Parquet files in a directory or an object store."""

    path: str = Field(
        default="./samples",
        min_length=1,
        description="a directory, or a URI: s3://bucket/folder, gs://…, abfs://…",
    )
    roll: RollSettings = part("when `run` publishes files")
    keep: Duration | None = Field(
        default=None,
        gt=0,
        description="`run` deletes files whose date ended longer ago than this; null keeps all",
    )
    fsync: bool = Field(
        default=False, description="survive power loss, not only the death of the process (slower)"
    )

    @field_validator("path")
    @classmethod
    def _known_scheme(cls, path: str) -> str:
        scheme, separator, _ = path.partition("://")
        if separator and scheme not in SCHEMES:
            known = ", ".join(f"{s}://" for s in SCHEMES)
            raise ValueError(f"no storage `{scheme}://`; write a directory, or one of {known}")
        return path

    def sink(self) -> "Sink":
        """The sink of these settings."""
        from sinks.parquet.sink import parquet_sink

        return parquet_sink(self)
