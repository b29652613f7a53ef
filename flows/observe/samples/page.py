"""The page of clusters: every entity's latest sample, in text or OpenMetrics."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flows.observe.samples.latest import Latest
from flows.observe.samples.lines import head, labels_of, last_rows, lines
from flows.observe.samples.names import LABELS, families, info
from operators.schema.arrow import one_batch
from operators.schema.metrics import ENTITY_TYPES, EntityType

_FRESH = 1.0
"""Seconds in which a page is not made again, however much came: ticks come in many batches."""

Families = Iterator[tuple[str, bytes]]
"""Families by name, each with its head."""


@dataclass(frozen=True, slots=True)
class _Made:
    version: int
    at: float
    until: float
    families: Sequence[tuple[str, bytes]]

    def good(self, version: int, now: float) -> bool:
        return now < self.at + _FRESH or (version == self.version and now < self.until)


class ClusterPage:
    """Makes the page where a sample came since it was last made, and else gives the same again.

    `labels` are columns of samples that are labels too. `more` gives further families, which without
    `samples` are all.
    """

    def __init__(
        self,
        latest: Latest,
        labels: Sequence[str] = (),
        *,
        samples: bool = True,
        more: Callable[[Latest, bool], Families] | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._latest = latest
        self._labels = labels
        self._samples = samples
        self._more = more
        self._steady = steady
        self._made: dict[bool, _Made] = {}
        self._lock = threading.Lock()

    def text(self, *, openmetrics: bool, names: Collection[str] = ()) -> bytes:
        """The page; only the families of some names where any are given."""
        made = self._page(openmetrics)
        return b"".join(text for name, text in made.families if not names or name in names)

    def _page(self, openmetrics: bool) -> _Made:
        # Who asks while another's page is made waits for that one.
        with self._lock:
            version, until = self._latest.version()
            now = self._steady()
            made = self._made.get(openmetrics)
            if made is None or not made.good(version, now):
                found = list(self._families(openmetrics))
                made = self._made[openmetrics] = _Made(version, now, until, found)
            return made

    def _families(self, openmetrics: bool) -> Families:
        kept = self._latest.kept()
        for entity in ENTITY_TYPES:
            if self._samples and entity.name in kept:
                batch = one_batch([batch for _, batch in kept[entity.name]])
                yield from _of_entity(entity, batch, self._labels, openmetrics=openmetrics)
        if self._more is not None:
            yield from self._more(self._latest, openmetrics)


END = b"# EOF\n"


def _of_entity(
    entity: EntityType, batch: pa.RecordBatch, more: Sequence[str], *, openmetrics: bool
) -> Families:
    rows = last_rows(labels_of(_identity(entity, batch)), batch.column("timestamp"))
    batch = batch.take(rows)
    own = _identity(entity, batch) | {name: batch.column(name) for name in more}
    labels = labels_of(own)
    for family in families(entity):
        text = lines(family.name, labels, batch.column(family.column), family.divisor)
        if text:
            start = head(family.name, "gauge", family.help, family.unit, openmetrics=openmetrics)
            yield family.name, start + text
    words = info(entity)
    if words is not None:
        reported = labels_of(own | {label: batch.column(column) for column, label in words.labels})
        text = lines(f"{words.name}_info", reported, pa.repeat(1, batch.num_rows))
        start = head(words.name, "info", words.help, None, openmetrics=openmetrics)
        yield f"{words.name}_info", start + text


def _identity(entity: EntityType, batch: pa.RecordBatch) -> dict[str, pa.Array]:
    named = {LABELS.get(i.column, i.column): batch.column(i.column) for i in entity.identity}
    return {"cluster": batch.column("cluster_name")} | named
