"""What a detector said: alerts, or scores, in the forms in which people have them."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from flows.anomalies.alerts import ALERTS
from flows.errors import UsageError
from operators.schema.guid import broker_name, entity_path, node_name
from operators.schema.nearest import suggestion

NAMES: Mapping[str, tuple[str, ...]] = {
    "entity": ("entity", "entity_name", "entityPath", "entity_path"),
    "time": ("time", "timestamp", "start", "startsAt", "openTime"),
    "end": ("end", "endsAt", "closeTime"),
    "score": ("score", "anomaly_score", "value"),
    "cause": ("cause", "root"),
}
"""Names that a column may have, by what it holds."""

_INCIDENTS = ("entityPath", "entity.name", "targetName")
"""Attributes of New Relic's incidents that name the entity: the facet's are tags, or bare."""

_PLACES = ("broker", "topic", "group", "consumer_group", "consumergroup", "queue")
"""Labels that, below a cluster's, name an entity."""

_UNITS = ((10**11, 1_000), (10**14, 1), (10**17, 10**-3), (float("inf"), 10**-6))
"""Below each number, what makes milliseconds of it: seconds, ms, µs, ns since 1970. Each unit's
numbers of the years 1973 to 5138 lie between its neighbours'."""


@dataclass(frozen=True, slots=True)
class Detected:
    """What a file holds: alerts (shape: ALERTS), or scores, frame by frame."""

    alerts: pl.DataFrame | None
    scores: Iterable[pl.DataFrame] | None
    """Shape of each frame: `entity` (path), `time` (ms since 1970), `score`."""
    has_entities: bool = False
    """Whether a column says whose they are."""


def read_detected(
    file: Path, columns: Mapping[str, str] | None = None, entity: str | None = None
) -> Detected:
    """Read a file of alerts or of scores.

    CSV of any usual delimiter, Parquet, JSON or JSON lines of rows; a webhook of Alertmanager's; New
    Relic's incidents; NAB's windows. `columns` names columns by what they hold (see NAMES);
    `entity` is whose a file without such a column is.

    Raises:
        UsageError: it cannot be read, a column is missing, or a time is none.
    """
    if file.is_dir():
        raise UsageError(f"{file}: is a folder: give the file of alerts or scores in it")
    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    with _clear_errors(file):
        if file.suffix.lower() in (".json", ".jsonl", ".ndjson"):
            rows = _json_rows(file)
            if not rows:  # what a detector says that found nothing
                return Detected(pl.DataFrame(schema=ALERTS), None)
            table = pl.LazyFrame(rows, infer_schema_length=None)
        elif file.suffix.lower() in (".parquet", ".pq"):
            table = pl.scan_parquet(file, glob=False)
        else:
            table = pl.scan_csv(
                file, separator=_separator(file), infer_schema=False, glob=False, encoding="utf8"
            )
        return _detected(file, table, columns or {}, entity)


@contextmanager
def _clear_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        raise UsageError(f"{file}: cannot be read: it is nested too deeply") from error
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        # Further lines of Polars name arguments of its own functions.
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{file}: cannot be read: {reason}") from error


def _detected(
    file: Path, table: pl.LazyFrame, given: Mapping[str, str], entity: str | None
) -> Detected:
    there = table.collect_schema().names()
    if "openTime" in there and "entity" not in there and not given:
        table = _incidents(table, there)
        there = table.collect_schema().names()
    found = {what: _column(file, what, there, given) for what in NAMES}
    if found["time"] is None or (found["entity"] is None and entity is None):
        raise UsageError(
            f"{file}: alerts and scores have a column `entity` (such as sim-eu/broker-2; or give "
            f"--entity) and one of {', '.join(NAMES['time'])}; these are there: {', '.join(there)}"
        )
    whose = pl.lit(entity) if found["entity"] is None else pl.col(found["entity"])
    wanted = {"entity": whose.cast(pl.String)}
    wanted |= {
        what: pl.col(name) for what, name in found.items() if name is not None and what != "entity"
    }
    chosen = table.select(**wanted)
    if found["score"] is not None:
        return Detected(None, _scores(file, chosen), found["entity"] is not None)
    frame = chosen.collect()
    start = _there(file, _milliseconds(file, frame["time"]))
    end = _milliseconds(file, frame["end"]) if "end" in frame.columns else start
    cause = frame["cause"].cast(pl.String) if "cause" in frame.columns else None
    alerts = pl.DataFrame(
        {
            "entity": frame["entity"],
            "start": start,
            # An alert that is open still lasts at least for its moment.
            "end": pl.select(pl.max_horizontal(end.fill_null(0), start)).to_series(),
            "cause": [None] * len(frame) if cause is None else cause,
        },
        schema=ALERTS,
    )
    return Detected(alerts, None, found["entity"] is not None)


def _incidents(table: pl.LazyFrame, there: list[str]) -> pl.LazyFrame:
    """A table of NrAiIncident as alerts: its `timestamp` is when it was written, not opened."""
    whose = [name for of in _INCIDENTS for name in (f"tags.{of}", of) if name in there]
    columns = (
        {"entity": pl.coalesce(pl.col(name).replace("", None) for name in whose)} if whose else {}
    )
    times = {"time": "openTime", "end": "closeTime"}
    columns |= {what: pl.col(name) for what, name in times.items() if name in there}
    return table.select(**columns)


def _scores(file: Path, table: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    before = 0
    with _clear_errors(file):  # they are read when they are asked for
        for frame in table.collect_batches(chunk_size=500_000, maintain_order=True):
            time = _there(file, _milliseconds(file, frame["time"], before), before)
            score = frame["score"].cast(pl.Float64)
            yield pl.DataFrame({"entity": frame["entity"], "time": time, "score": score})
            before += len(frame)


def _there(file: Path, times: pl.Series, before: int = 0) -> pl.Series:
    if times.has_nulls():
        row = before + times.is_null().arg_true()[0] + 1
        raise UsageError(f"{file}: row {row}: no time")
    return times


def _column(file: Path, what: str, there: list[str], given: Mapping[str, str]) -> str | None:
    if what in given:
        if given[what] not in there:
            raise UsageError(f"{file}: no column `{given[what]}`; {suggestion(given[what], there)}")
        return given[what]
    return next((name for name in NAMES[what] if name in there), None)


def _milliseconds(file: Path, times: pl.Series, before: int = 0) -> pl.Series:
    """Times as ms since 1970: dates, numbers of any unit, or ISO 8601 (UTC without an offset).

    `before` is how many rows of the file come before them.
    """
    if times.dtype.is_temporal():
        return times.cast(pl.Datetime("ms")).cast(pl.Int64)
    if times.dtype.is_numeric():
        return _scaled(times.cast(pl.Float64))
    text = times.cast(pl.String).str.strip_chars()
    numbers = text.str.contains(r"^\d+(\.\d+)?$")
    found = _scaled(text.filter(numbers).cast(pl.Float64))
    dates = text.filter(~numbers.fill_null(value=True))
    parsed = _dates(dates)
    if (bad := parsed.is_null() & dates.is_not_null() & (dates != "")).any():
        row = before + text.to_list().index(dates.filter(bad)[0]) + 1
        raise UsageError(
            f"{file}: row {row}: not a time: {dates.filter(bad)[0]!r}; write ISO 8601 "
            "(2026-01-31T10:00:00Z), or seconds, ms, µs or ns since 1970"
        )
    result = pl.Series(name=times.name, values=[None] * len(text), dtype=pl.Int64)
    places = pl.Series(range(len(text)))
    result = result.scatter(places.filter(numbers.fill_null(value=False)), found)
    return result.scatter(places.filter(~numbers.fill_null(value=True)), parsed)


def _dates(text: pl.Series) -> pl.Series:
    """ISO 8601 with and without offset, with `T` or a space."""
    whole = text.str.replace(" ", "T").str.replace(r"Z$", "+00:00")
    zoned = whole.str.contains(r"[+-]\d\d:?\d\d$")
    with_zone = pl.when(zoned).then(whole).otherwise(whole + "+00:00")
    return (
        pl.select(with_zone)
        .to_series()
        .str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False)
        .cast(pl.Int64)
    )


def _scaled(numbers: pl.Series) -> pl.Series:
    size = numbers.abs()
    scaled = pl.lit(None, pl.Float64)
    for below, factor in reversed(_UNITS):
        scaled = pl.when(size < below).then(numbers * factor).otherwise(scaled)
    return pl.select(scaled.round().cast(pl.Int64, strict=False)).to_series()


def _separator(file: Path) -> str:
    with file.open(encoding="utf-8-sig", errors="replace") as opened:
        head = opened.readline()
    try:
        return csv.Sniffer().sniff(head, delimiters=",;\t|").delimiter
    except csv.Error:
        return ","


def _json_rows(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8-sig")
    if not text.strip():
        message = "it is empty"
        raise ValueError(message)
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        content = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [
        row for one in (content if isinstance(content, list) else [content]) for row in _rows(one)
    ]


def _rows(one: Any) -> Iterator[dict[str, Any]]:
    """The alerts of one JSON object, as rows of a table."""
    _object(one)
    if isinstance(one.get("alerts"), list):
        # Alertmanager's webhook; an alert that is firing still ends in the year 1.
        for alert in one["alerts"]:
            _object(alert)
            ends = str(alert.get("endsAt", ""))
            yield {
                "entity": _path(_object(alert.get("labels") or {})),
                "time": alert.get("startsAt"),
                "end": None if ends.startswith("0001") else ends or None,
            }
    elif "openTime" in one and "entity" not in one:
        # NrAiIncident: the facet's attributes are tags.
        tags = {key.removeprefix("tags."): value for key, value in one.items()}
        yield {
            "entity": next((tags[name] for name in _INCIDENTS if tags.get(name)), None),
            "time": str(one["openTime"]),
            "end": None if one.get("closeTime") is None else str(one["closeTime"]),
        }
    elif one and all(isinstance(windows, list) for windows in one.values()):
        # NAB's windows, by the name of the series' file.
        for name, windows in one.items():
            for window in windows:
                if not isinstance(window, list) or len(window) != 2:
                    message = f"a window of `{name}` is no pair of start and end"
                    raise ValueError(message)
                start, end = map(str, window)
                yield {"entity": name.removesuffix(".csv"), "time": start, "end": end}
    else:
        yield {key: value if value is None else str(value) for key, value in one.items()}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        kinds = {list: "list", str: "text", bool: "flag", type(None): "null"}
        message = f"an alert is an object, not a {kinds.get(type(value), 'number')}"
        raise ValueError(message)  # noqa: TRY004 - it is the file that is wrong
    return value


def _path(labels: Mapping[str, Any]) -> str | None:
    """An entity's path from an alert's labels."""
    for name in NAMES["entity"]:
        if labels.get(name):
            return str(labels[name])
    cluster = labels.get("cluster") or labels.get("cluster_name")
    place = next((str(labels[name]) for name in _PLACES if labels.get(name)), None)
    if place is None and str(labels.get("node", "")).startswith("rabbit"):
        place = node_name(labels["node"])
    if cluster is None:
        return place
    if place is None:
        return str(cluster)
    return entity_path(str(cluster), broker_name(place) if labels.get("broker") == place else place)
