"""What a configuration expects of a cluster: entities that are filled before they were seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from operators.schema.metrics import EntityType


@dataclass(frozen=True, slots=True)
class Expected:
    """One entity: its path below the cluster, and the values of its identity columns."""

    path: tuple[str, ...]
    identity: tuple[str | int, ...]


class Expectation(Protocol):
    """The settings that name what is expected of a cluster."""

    def of(self, kind: str) -> "Mapping[EntityType, tuple[Expected, ...]]":
        """What is expected of one kind of target."""
