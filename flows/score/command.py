"""`mqpipe score`: how well alerts found the anomalies that the simulation made."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import typer

from flows.errors import UsageError
from flows.samples import SamplesError, find_samples
from flows.times import parse_time

_TIMES = ("time", "timestamp", "start")
"""Names that the column of an alert's time may have."""


@dataclass(frozen=True, slots=True)
class Score:
    """Alerts against anomalies. Delays are seconds from an anomaly's onset to its first alert."""

    alerts: int
    right: int
    """Alerts that an anomaly explains."""
    anomalies: int
    delays: tuple[float, ...]
    """One for each anomaly that was found, sorted."""

    @property
    def precision(self) -> float | None:
        """Share of alerts that are right; None without alerts."""
        return self.right / self.alerts if self.alerts else None

    @property
    def recall(self) -> float | None:
        """Share of anomalies that were found; None without anomalies."""
        return len(self.delays) / self.anomalies if self.anomalies else None


def score(alerts: Path, uri: str, grace: float) -> int:
    """Print precision, recall and time to detect, by kind of anomaly and in all.

    Raises:
        UsageError: the alerts cannot be read.
        SamplesError: there are no samples below the URI, or no table of anomalies.
    """
    samples = find_samples(uri)
    truth = samples.anomalies()
    if truth is None:
        raise SamplesError(
            f"{uri}: no table of anomalies (_anomalies/anomalies.parquet) beside the samples; "
            "`mqpipe export` writes it"
        )
    first, last = samples.span()
    truth = truth.filter(
        (pl.col("start").cast(pl.Int64) <= last) & (pl.col("end").cast(pl.Int64) >= first)
    )
    given = read_alerts(alerts)
    inside = given.filter(pl.col("time").is_between(first, last + round(grace * 1000)))
    if given.height > inside.height:
        typer.echo(f"{given.height - inside.height} alerts outside the samples' time left out")
    kinds, total = score_of(inside, truth, grace)
    rows = [
        ("kind", "anomalies", "found", "recall", "to detect: median", "90 %", "worst"),
        *((kind, *_columns(one)) for kind, one in kinds.items()),
        ("all", *_columns(total)),
    ]
    for line in _aligned(rows):
        typer.echo(line)
    typer.echo(
        f"precision {_percent(total.precision)}: {total.right:,} of {total.alerts:,} alerts are "
        "explained by an anomaly"
    )
    return 0


def read_alerts(file: Path) -> pl.DataFrame:
    """Alerts from CSV or Parquet; shape: `entity` (path), `time` (ms since 1970).

    The time is in the column `time`, `timestamp` or `start`: ISO 8601 (UTC where no offset
    stands), a timestamp, or a whole number of milliseconds.

    Raises:
        UsageError: the file cannot be read, a column is missing, or a time is none.
    """
    parquet = file.suffix.lower() in (".parquet", ".pq")
    try:
        table = pl.read_parquet(file) if parquet else pl.read_csv(file, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        kind = "Parquet" if parquet else "CSV"
        # Further lines of Polars name arguments of its own functions.
        reason = "no such file" if not file.exists() else str(error).partition("\n")[0]
        raise UsageError(
            f"{file}: cannot be read as {kind}: {reason}; alerts are a table of `entity` and `time`"
        ) from error
    column = next((name for name in _TIMES if name in table.columns), None)
    if column is None or "entity" not in table.columns:
        raise UsageError(
            f"{file}: alerts have the columns `entity` (such as sim-eu/broker-2) and one of "
            f"{', '.join(_TIMES)}; these are there: {', '.join(table.columns)}"
        )
    times = [_milliseconds(value, row, file) for row, value in enumerate(table[column], 1)]
    return pl.DataFrame(
        {"entity": table["entity"].cast(pl.String), "time": times},
        schema={"entity": pl.String, "time": pl.Int64},
    )


def score_of(
    alerts: pl.DataFrame, truth: pl.DataFrame, grace: float
) -> tuple[dict[str, Score], Score]:
    """The score of each kind of anomaly, by name, and of all together.

    An anomaly explains an alert on an entity that it touches, from its onset to `grace` seconds
    after its recovery. An alert that no anomaly explains is of no kind: precision is told of
    all together only.

    `alerts` is as `read_alerts` gives them, `truth` as `operators.simulate.ANOMALIES`.
    """
    times = [pl.col(name).cast(pl.Int64) for name in ("start", "end")]
    touched = truth.select("kind", "label", *times, entity="entities").explode("entity")
    numbered = alerts.with_row_index("alert")
    explained = numbered.join(touched, on="entity").filter(
        pl.col("time").is_between(pl.col("start"), pl.col("end") + round(grace * 1000))
    )
    found = explained.group_by("kind", "label").agg(delay=(pl.col("time") - pl.col("start")).min())
    right = explained.group_by("kind").agg(pl.col("alert").n_unique())
    rights = dict(right.iter_rows())
    kinds = {}
    for kind, number in truth["kind"].value_counts().sort("kind").iter_rows():
        delays = _in_seconds(found.filter(pl.col("kind") == kind)["delay"])
        kinds[kind] = Score(rights.get(kind, 0), rights.get(kind, 0), number, delays)
    explained_alerts = explained["alert"].n_unique()
    total = Score(alerts.height, explained_alerts, truth.height, _in_seconds(found["delay"]))
    return kinds, total


def _in_seconds(milliseconds: pl.Series) -> tuple[float, ...]:
    return tuple(value / 1000 for value in milliseconds.sort())


def _milliseconds(value: object, row: int, file: Path) -> int:
    if isinstance(value, datetime):
        value = value.isoformat()
    text = str(value).strip()
    if text.isdigit():
        return int(text)
    try:
        # A relative time is one of the command line, not of a file.
        return parse_time(text if text[:1].isdigit() else "", 0)
    except ValueError:
        raise UsageError(
            f"{file}: alert {row}: not a time: {value!r}; write ISO 8601 (2026-01-31T10:00:00Z) or "
            "milliseconds since 1970"
        ) from None


def _columns(one: Score) -> tuple[str, ...]:
    return (
        f"{one.anomalies:,}",
        f"{len(one.delays):,}",
        _percent(one.recall),
        *(_seconds(_quantile(one.delays, share)) for share in (0.5, 0.9, 1.0)),
    )


def _quantile(values: tuple[float, ...], share: float) -> float | None:
    found = pl.Series(values, dtype=pl.Float64).quantile(share, "linear")
    return None if found is None else float(found)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} s"


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows as lines, the first column to the left, the others to the right."""
    rows = list(rows)
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
