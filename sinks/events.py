"""What happens to samples in sinks, as data: for metrics, the live table and logs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import ENTITY_TYPE_KEY
from operators.schema.metrics import COLLECTION


@dataclass(frozen=True, slots=True)
class SamplesWritten:
    """A sink took samples over: what the snapshot covers, it will not lose."""

    sink: str
    by_origin: Mapping[str, int]
    ticks: Mapping[str, tuple[int, int]]
    """By origin, their oldest and newest tick, in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class SamplesPublished:
    """Samples that a sink had taken over are in files or tables, where readers find them."""

    sink: str
    by_origin: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PublishFailed:
    """Samples wait on, for files or tables could not be written."""

    sink: str
    reason: str


@dataclass(frozen=True, slots=True)
class SamplesDelivered:
    """A network sink's other side acknowledged samples.

    `route` tells apart the ways that one sink has: New Relic's `events` and `metrics`.
    """

    sink: str
    route: str
    by_origin: Mapping[str, int]
    ticks: Mapping[str, tuple[int, int]]
    """By origin, their oldest and newest tick, in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class SamplesDead:
    """Samples went to dead letters."""

    sink: str
    route: str
    by_origin: Mapping[str, int]
    reason: str
    status: int | None


@dataclass(frozen=True, slots=True)
class PointsRejected:
    """The other side took a delivery but for some of its points, and does not say which."""

    sink: str
    route: str
    points: int
    reason: str


@dataclass(frozen=True, slots=True)
class DeliveryRetried:
    """An attempt failed and will be made again."""

    sink: str
    route: str
    reason: str
    attempt: int
    retry_in: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class SpoolDepth:
    """How much waits in one partition of a spool."""

    sink: str
    partition: str
    unsent_bytes: int
    disk_bytes: int
    """What the partition takes on disk, delivered records that are not yet removed included."""


@dataclass(frozen=True, slots=True)
class DeadLettersDropped:
    """The oldest dead letters were removed, for their size limit was reached."""

    path: str
    samples: int


@dataclass(frozen=True, slots=True)
class MessagesUnreadable:
    """Messages that hold no samples went to dead letters."""

    messages: int


COLLECTION_ROWS = "collection"
"""How rows that report targets' ticks are counted, for they are no samples that were collected."""


def count_by_origin(batches: Iterable[pa.RecordBatch]) -> Mapping[str, int]:
    """How many samples of each origin are in these batches; `COLLECTION_ROWS` are none."""
    counts: Counter[str] = Counter()
    for batch in batches:
        for name, times in _by_origin(batch):
            counts[name] += len(times)
    return dict(counts)


def by_origin(
    batches: Iterable[pa.RecordBatch],
) -> tuple[Mapping[str, int], Mapping[str, tuple[int, int]]]:
    """By origin: how many samples, as `count_by_origin`; their oldest and newest tick (ms)."""
    counts: Counter[str] = Counter()
    ticks: dict[str, tuple[int, int]] = {}
    for batch in batches:
        for name, times in _by_origin(batch):
            counts[name] += len(times)
            first, last = _ends(times)
            oldest, newest = ticks.get(name, (first, last))
            ticks[name] = min(oldest, first), max(newest, last)
    return dict(counts), ticks


def _by_origin(batch: pa.RecordBatch) -> Iterable[tuple[str, pa.Array]]:
    """Each origin that is there, or `COLLECTION_ROWS`, and the times of its rows."""
    if not batch.num_rows:
        return []
    if _reports_ticks(batch):
        return [(COLLECTION_ROWS, batch.column("timestamp"))]
    times, origins = batch.column("timestamp"), batch.column("origin")
    if not origins.null_count and len(origins.dictionary) == 1:
        return [(origins.dictionary[0].as_py(), times)]
    found = []
    for index in pc.unique(origins.indices):
        same = pc.equal(origins.indices, index) if index.is_valid else origins.is_null()
        name = origins.dictionary[index.as_py()].as_py() if index.is_valid else "unknown"
        found.append((name, times.filter(same)))
    return found


def _ends(times: pa.Array) -> tuple[int, int]:
    if len(times) == 1:
        return times[0].value, times[0].value
    ends = pc.min_max(times)
    return ends["min"].value, ends["max"].value


def _reports_ticks(batch: pa.RecordBatch) -> bool:
    return bool((batch.schema.metadata or {}).get(ENTITY_TYPE_KEY) == COLLECTION.name.encode())
