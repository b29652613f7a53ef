"""Fields that several settings have: one default, one description."""

from typing import Annotated, Any

from pydantic import Field

from operators.schema.settings import at_most

ENVIRONMENT: Any = Field(
    default="production", description="production, staging, development, test, …"
)

RowLimit = Annotated[int, Field(ge=0), at_most(1_000_000, "no cluster's bill bears more")]
"""How many rows of one kind a cluster has, at most."""

HOW_TO_LIMIT = "raise it, or set it to 0 for none"
"""What to do about a `RowLimit` that leaves rows out."""

GROUP_TOPICS: Any = Field(
    default=10_000,
    description="samples of a group on a topic, at most: those with the largest lags, in a fleet those "
    "of its fullest topics; 0 for none",
)
BROKER_TOPICS: Any = Field(
    default=1_000,
    description="events of a broker on a topic for New Relic, at most: those of the topics with the "
    "most traffic; 0 for none",
)
GROUP_CLIENTS: Any = Field(
    default=1_000,
    description="events of a group's client for New Relic, at most: those with the largest lags, in a "
    "fleet those of the groups with the most traffic; 0 for none",
)
