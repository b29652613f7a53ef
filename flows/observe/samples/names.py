"""What metrics of the table are called for Prometheus, by its conventions.

Names are `mq_<entity>_<what>_<base unit>`: seconds, bytes and ratios (of 0 to 1), whichever unit the
table has; a `_count` is named in the plural. All are gauges: a mean per second is one, and so is an offset, which starts over with its
topic. `_total` is the mark of counters, which samples have none of. Words are labels of an entity's
`_info`, whose value is 1.
Source: prometheus.io/docs/practices/naming, OpenMetrics 1.0.
"""

import re
from dataclasses import dataclass
from functools import cache

from operators.schema.metrics import STRING, EntityType, Metric

PREFIX = "mq"

LABELS = {
    "broker_id": "broker",
    "topic": "topic",
    "consumer_group": "group",
    "partition": "partition",
    "queue": "queue",
    "vhost": "vhost",
    "node": "node",
    "target_kind": "target",
}
"""Label by the column that identifies an entity; another column is a label by its own name."""

_OWN = {"group_topic": "consumerGroup", "partition_offset": "consumer"}
"""What the metrics' names of an entity type begin with, where that is not the type's label."""
_FREE_TEXT = frozenset({"collection.error"})
"""Words without number: each new one would be a series of its own."""
_UNITS = {
    "s": ("seconds", 1.0),
    "ms": ("seconds", 1000.0),
    "%": ("ratio", 100.0),
    "0-100": ("ratio", 100.0),
    "0-1": ("ratio", 1.0),
    "bytes": ("bytes", 1.0),
}
"""By the table's unit: the base unit, and how many of the table's make one of it."""


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """One metric as the page has it; its value is the column's divided by `divisor`."""

    name: str
    column: str
    help: str
    unit: str | None = None
    divisor: float = 1.0


@dataclass(frozen=True, slots=True)
class Info:
    """An entity's words: `<name>_info` with a label for each of `labels`, by column."""

    name: str
    labels: tuple[tuple[str, str], ...]
    help: str


@cache
def families(entity: EntityType) -> tuple[MetricFamily, ...]:
    """A family for each number of an entity type, in the table's order."""
    return tuple(_family(entity, metric) for metric in entity.numeric)


@cache
def info(entity: EntityType) -> Info | None:
    """The words of an entity type; None where it has none."""
    words = [m for m in entity.metrics if m.type == STRING and m.name not in _FREE_TEXT]
    if not words:
        return None
    said = "; ".join(f"{_what(entity, m)}: {m.meaning}" for m in words)
    labels = tuple((m.name, _what(entity, m)) for m in words)
    return Info(f"{PREFIX}_{entity.label}", labels, _sentence(f"Words, as labels: {said}"))


def _family(entity: EntityType, metric: Metric) -> MetricFamily:
    what = _what(entity, metric)
    unit, divisor = _UNITS.get(metric.unit, (None, 1.0))
    if unit is not None:
        for suffix in (f"_{metric.unit}", f"_{unit}"):
            what = what.removesuffix(suffix)
        what = f"{what}_{unit}"
    elif metric.unit == "bytes/s" and "bytes" not in what:
        what = what.removesuffix("_per_second") + "_bytes_per_second"
    elif metric.unit.endswith("/s") and not what.endswith("_per_second"):
        what += "_per_second"
    elif what.endswith("_count"):  # which is the mark of histograms
        what = what.removesuffix("_count")
        what += "" if what.endswith("s") else "s"
    name = f"{PREFIX}_{entity.label}_{what}"
    return MetricFamily(name, metric.name, _sentence(metric.meaning), unit, divisor)


def _what(entity: EntityType, metric: Metric) -> str:
    own = _OWN.get(entity.label) or _camel(entity.label)
    return _snake(metric.name.removeprefix(f"{own}."))


def _camel(snake: str) -> str:
    first, *rest = snake.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _snake(name: str) -> str:
    """`IOInPerSecond` is io_in_per_second, `fetchTime99Percentile` fetch_time_99_percentile."""
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return "_".join(part.lower() for part in parts)


def _sentence(meaning: str) -> str:
    text = meaning[:1].upper() + meaning[1:]
    return text if text.endswith((".", "…")) else f"{text}."
