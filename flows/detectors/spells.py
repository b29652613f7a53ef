"""From what is true at moments to alerts that last."""

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from flows.anomalies.alerts import ALERTS
from flows.anomalies.spans import (
    spans_of,
)
from operators.schema.arrays import Flags, Ints

Spell = tuple[str, int, int]
"""Path of an entity, and the first and last moment of an alert on it, ms since 1970."""


def held(broken: Flags, moments: int, quiet: int) -> Iterator[tuple[int, int]]:
    """First and last place of what holds for some moments in a row.

    It opens at the last of `moments` in a row that are broken, and closes at the last of `quiet` in a
    row that are not, or at the end.
    """
    opened: int | None = None
    over = 0  # the first place after what was broken last
    for begin, end in spans_of(broken).tolist():
        if opened is not None and begin - over >= quiet:
            yield opened, over + quiet - 1
            opened = None
        if opened is None and end - begin >= moments:
            opened = begin + moments - 1
        over = end
    if opened is not None:
        yield opened, min(over + quiet, len(broken)) - 1


def as_alerts(spells: Iterable[Spell]) -> pl.DataFrame:
    """Spells as alerts, those on one entity that touch as one; shape: ALERTS."""
    rows: list[Spell] = []
    for entity, start, end in sorted(spells):
        if rows and rows[-1][0] == entity and start <= rows[-1][2]:
            rows[-1] = (entity, rows[-1][1], max(end, rows[-1][2]))
        else:
            rows.append((entity, start, end))
    return pl.DataFrame([(*row, None) for row in rows], schema=ALERTS, orient="row")


def of_each(frame: pl.DataFrame, by: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of each entity, in the order of time."""
    ordered = frame.sort(by, "time")
    for (entity,), rows in ordered.group_by(by, maintain_order=True):
        yield str(entity), rows


def numbers(frame: pl.DataFrame, column: str) -> Ints:
    """A column of whole numbers."""
    return frame[column].cast(pl.Int64).to_numpy()


def filled(flags: pl.Series) -> Flags:
    """Truth values; what is not known is not true."""
    return flags.fill_null(value=False).to_numpy().astype(np.bool_)
