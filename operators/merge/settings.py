"""Settings of the merge: when a gap is filled."""

from pydantic import Field

from operators.schema.settings import Duration, Settings


class FillSettings(Settings):
    """When hybrid mode fills."""

    grace: Duration = Field(
        default=15.0,
        gt=0,
        description="how long after its cluster is asked a collected sample is waited for",
    )
    stale_after: Duration = Field(
        default=300.0,
        description="silence after which an entity that was seen and is not in `expect` is filled",
    )
