"""What both forms have beside their series: an index of the files, and each run's cause."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from urllib.parse import quote

from flows.datasets.series import LabelledSeries, ShapedTicks
from flows.times import show_time


@dataclass(frozen=True, slots=True)
class WrittenSeries:
    """A file of the data set."""

    file: str
    """Its path below the data set's folder."""
    entity: str
    entity_type: str
    metrics: str
    """The metric that it holds, or all of them with spaces between."""
    ticks: int
    train: int
    shaped: int
    """Ticks that anomalies shaped."""


@dataclass(frozen=True, slots=True)
class WrittenCause:
    """A run of shaped ticks of a file, and what shaped it."""

    file: str
    start: int
    end: int
    """First tick, and the one after the last, by their place in the file."""
    start_time: str
    end_time: str
    """Of the first tick and of the last."""
    kind: str
    label: str
    root: str
    is_root: bool
    """Whether the file's entity is the root."""


def written(file: str, series: LabelledSeries, metrics: Iterable[str]) -> WrittenSeries:
    """The index' row of a file."""
    return WrittenSeries(
        file,
        series.entity,
        series.entity_type.label,
        " ".join(metrics),
        len(series.label),
        series.train,
        int(series.label.sum()),
    )


def causes_of(file: str, series: LabelledSeries) -> list[WrittenCause]:
    """The causes of a file's runs."""
    return [_cause(file, series, cause) for cause in series.causes]


def write_table(path: Path, rows: Sequence[WrittenSeries] | Sequence[WrittenCause]) -> None:
    """Rows as CSV with a header; an empty table is a header that nobody can name: none is written."""
    if not rows:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(rows[0].__slots__)
        table.writerows(astuple(row) for row in rows)


def file_name(*parts: str) -> str:
    """A name of a file that can be read back: parts with two underscores between."""
    return "__".join(quote(part.replace("/", "__"), safe="") for part in parts)


def _cause(file: str, series: LabelledSeries, cause: ShapedTicks) -> WrittenCause:
    times = series.times.dt.epoch("ms")
    return WrittenCause(
        file,
        cause.start,
        cause.end,
        show_time(times[cause.start]),
        show_time(times[cause.end - 1]),
        cause.kind,
        cause.label,
        cause.root,
        cause.root == series.entity,
    )
