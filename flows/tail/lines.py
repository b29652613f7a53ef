"""A sample as a line: of a table for people, or of JSON."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from flows.tail.places import Row
from flows.visible import visible
from operators.schema.metrics import EntityType

HEAD = ("TIME (UTC)", "TYPE", "ENTITY", "ORIGIN", "METRICS")
_WIDTHS = (20, 15, 34, 9)


def json_line(row: Row) -> str:
    """What was measured, as a JSON object; what is null is left out."""
    return json.dumps({name: _plain(value) for name, value in row.items() if value is not None})


def heading() -> str:
    """The names of a table's columns."""
    return _joined(HEAD[:-1], HEAD[-1])


def table_line(entity_type: EntityType, row: Row, width: int | None) -> str:
    """When, what, and its metrics, as far as they fit into `width` characters; None is all."""
    metrics = "  ".join(_metrics(entity_type, row))
    first = (
        _plain(row["timestamp"]) or "-",
        entity_type.label,
        row.get("entity_name") or row.get("cluster_name") or "-",
        row.get("origin") or "-",
    )
    line = visible(_joined([str(part) for part in first], metrics))
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"


def _joined(first: Iterable[str], last: str) -> str:
    parts = [f"{part:<{width}}" for part, width in zip(first, _WIDTHS, strict=True)]
    return "  ".join([*parts, last]).rstrip()


def _metrics(entity_type: EntityType, row: Row) -> Iterator[str]:
    if row.get("anomaly"):
        yield f"anomaly {str(row['anomaly']).partition(':')[0]}"
    for metric in entity_type.metrics:
        value = row.get(metric.name)
        if value is not None:
            shown = f"{value:.6g}" if isinstance(value, float) else f"{value}"
            yield f"{metric.name.partition('.')[2]} {shown}"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        form = "milliseconds" if moment.microsecond else "seconds"
        return moment.isoformat(timespec=form).replace("+00:00", "Z")
    return value
