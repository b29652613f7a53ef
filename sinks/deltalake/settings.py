"""What a user can say about Delta tables."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from operators.schema.extras import bring
from operators.schema.settings import Settings, part
from sinks.rolled.settings import RollSettings

if TYPE_CHECKING:
    from sinks.sink import Sink


NAME = "deltalake"
"""Of the sink: its key in the configuration, its step in the dataflow, and its folder in the job's state."""


class DeltaLakeSettings(Settings):
    """Delta tables, one for each entity type, in a directory or an object store."""

    path: str = Field(
        default="./delta",
        min_length=1,
        description="folder of the tables: a directory, or a URI: s3://bucket/folder, gs://…, az://…",
    )
    roll: RollSettings = part(
        "when `run` and `replay` commit; what is committed at once is held in memory",
    )

    @model_validator(mode="after")
    def _extra_is_installed(self) -> Self:
        if find_spec("deltalake") is None:
            raise ValueError(
                f"needs mqpipe's extra `deltalake`, which is not here: {bring('deltalake>=1.6')}"
            )
        return self

    def sink(self) -> "Sink":
        """The sink of these settings."""
        from sinks.deltalake.sink import deltalake_sink

        return deltalake_sink(self)
