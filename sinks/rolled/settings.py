"""What a user can say about when rows are published."""

from pydantic import Field

from operators.schema.settings import Duration, Settings


class RollSettings(Settings):
    """When the rows that wait are published."""

    rows: int = Field(
        default=1_000_000,
        gt=0,
        le=1_000_000_000,
        description="rows of a cluster, all entity types together, after which they are published",
    )
    every: Duration = Field(
        default=600.0,
        gt=0,
        description="age of the oldest unpublished row after which all are published",
    )
