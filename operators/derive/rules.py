"""How one kind's ticks are compared: the columns that follow, and what is kept for the next one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from operators.derive.store import Raw


class Derivation(Protocol):
    """Derives columns and keeps measures in one."""

    def __call__(
        self,
        batches: tuple[pa.RecordBatch, ...],
        now: Raw,
        before: Raw,
        partial: bool,
        most: float,
    ) -> tuple[tuple[pa.RecordBatch, ...], Raw]:
        """A tick's batches with their derived columns, and the raw measures that are kept.

        `before` are the measures that were kept; those more than `most` seconds old are not compared
        with. `partial` is a tick of which something did not come.
        """


class Derive(Protocol):
    """Derives columns; see `Derivation`."""

    def __call__(
        self, batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, most: float
    ) -> tuple[pa.RecordBatch, ...]:
        """A tick's batches with their derived columns."""


class Keep(Protocol):
    """Keeps measures; see `Derivation`."""

    def __call__(self, now: Raw, before: Raw, partial: bool, most: float) -> Raw:
        """The raw measures that are kept."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a kind's ticks are compared, and the shapes of what is kept of them, by name."""

    derivation: Derivation
    schemas: Mapping[str, pa.Schema]


Rules = Mapping[str, Rule]
"""A provider's, by kind of target. Counters that a kind reports as `totals` need none."""


def each(derive: Derive, keep: Keep) -> Derivation:
    """That of a kind whose columns and whose kept measures have nothing in common."""
    return lambda batches, now, before, partial, most: (
        derive(batches, now, before, most),
        keep(now, before, partial, most),
    )
