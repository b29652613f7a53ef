"""Every entity's series of samples, one after the other, from any number of files.

Files hold ticks of many entities; what is scored is one entity's ticks. So rows are first dealt
out by entity to files of their own, and then one such file is read after the other: memory holds
one of them, whatever the number of samples.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.samples import Samples
from flows.score.spans import Floats, Ints
from operators.schema.metrics import COLLECTION, ENTITY_TYPES, PROBE, EntityType

BUCKETS = 128
"""Files that rows are dealt out to."""

ROWS = 500_000
"""Rows read at a time."""

NO_LABEL = -1

NO_SERIES = (COLLECTION, PROBE)
"""Types whose samples are of the collection itself: no detector is asked about them."""

Rows: TypeAlias = NDArray[Any]
"""A structured array, of _SAMPLE or of _SCORE."""

_SAMPLE = np.dtype([("entity", "i4"), ("label", "i4"), ("time", "i8"), ("type", "i1")])
_SCORE = np.dtype([("entity", "i4"), ("time", "i8"), ("score", "f8")])


@dataclass(frozen=True, slots=True)
class Series:
    """One entity's samples in the order of time."""

    entity: str
    """Its path."""
    entity_type: EntityType
    times: Ints
    """In ms since 1970."""
    labels: Ints
    """Place of the anomaly that shaped the sample; NO_LABEL where none did."""
    scores: Floats
    """What a detector gave; NaN where it gave nothing, as where it gives alerts alone."""


@dataclass(frozen=True, slots=True)
class DealtSamples:
    """Rows that were dealt out, to be read bucket by bucket, in any process."""

    folder: Path
    paths: tuple[str, ...]
    """The entities' paths, by their place."""

    def series(self, bucket: int) -> Iterator[Series]:
        """The series of one bucket. A sample that is there twice counts once."""
        rows, scores = self._rows(bucket)
        for begin, end in _runs(rows["entity"], rows["type"]):
            part = rows[begin:end]
            place = int(part["entity"][0])
            first, last = np.searchsorted(scores["entity"], (place, place + 1))
            own = scores[first:last]
            yield Series(
                self.paths[place],
                ENTITY_TYPES[int(part["type"][0])],
                part["time"],
                part["label"].astype(np.int64),
                _at(part["time"], own["time"], own["score"]),
            )

    def _rows(self, bucket: int) -> tuple[Rows, Rows]:
        rows = np.fromfile(_file(self.folder, _SAMPLE, bucket), _SAMPLE)
        scores = np.fromfile(_file(self.folder, _SCORE, bucket), _SCORE)
        rows = rows[np.lexsort((rows["time"], rows["type"], rows["entity"]))]
        scores = scores[np.lexsort((scores["time"], scores["entity"]))]
        again = np.zeros(len(rows), np.bool_)
        again[1:] = True
        for column in ("entity", "type", "time"):
            again[1:] &= rows[column][1:] == rows[column][:-1]
        return rows[~again], scores


class Dealing:
    """Deals rows out by entity; a context manager, whose files are gone at its end.

    Args:
        labels: The place of each anomaly by its label.
        entities: Paths of the entities whose series are wanted; all of them without it.
    """

    def __init__(self, labels: Mapping[str, int], entities: Iterable[str] | None = None) -> None:
        self._labels = labels
        self._only = entities is not None
        self._places = {path: place for place, path in enumerate(sorted(set(entities or ())))}
        self._open = ExitStack()
        self.rows = 0
        """How many samples there are."""

    def __enter__(self) -> Self:
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="mqpipe-score-"))
        self._folder = Path(folder)
        self._files = {
            dtype: [
                self._open.enter_context(_file(self._folder, dtype, bucket).open("wb"))
                for bucket in range(BUCKETS)
            ]
            for dtype in (_SAMPLE, _SCORE)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def add_samples(self, samples: Samples) -> None:
        """Deal out the samples below a URI."""
        for code, entity_type in enumerate(ENTITY_TYPES):
            if entity_type not in samples.files or entity_type in NO_SERIES:
                continue
            rows = samples.scan(entity_type).select("entity_name", "timestamp", "anomaly")
            for frame in rows.collect_batches(chunk_size=ROWS, maintain_order=False):
                if not self._only:
                    self._meet(frame["entity_name"])
                found = np.empty(len(frame), _SAMPLE)
                found["entity"] = _places(frame["entity_name"], self._places)
                found["label"] = _places(frame["anomaly"], self._labels)
                found["time"] = frame["timestamp"].cast(pl.Int64).to_numpy()
                found["type"] = code
                self.rows += len(found)
                self._deal(found)

    def add_scores(self, frames: Iterable[pl.DataFrame]) -> int:
        """Deal out scores; shape: `entity` (path), `time` (ms), `score`.

        Samples come before them. Returns how many scores are of entities that have none.
        """
        passed_over = 0
        for frame in frames:
            found = np.empty(len(frame), _SCORE)
            found["entity"] = _places(frame["entity"], self._places)
            found["time"] = frame["time"].to_numpy()
            found["score"] = frame["score"].cast(pl.Float64).to_numpy()
            passed_over += int((found["entity"] < 0).sum())
            self._deal(found)
        return passed_over

    def dealt(self) -> DealtSamples:
        """What was dealt out; no rows may be added any more."""
        for files in self._files.values():
            for file in files:
                file.flush()
        return DealtSamples(self._folder, tuple(self._places))

    def _meet(self, column: pl.Series) -> None:
        for path in column.unique():
            self._places.setdefault(path, len(self._places))

    def _deal(self, rows: Rows) -> None:
        rows = rows[rows["entity"] >= 0]
        bucket = (rows["entity"] % BUCKETS).astype(np.int16)
        rows = rows[np.argsort(bucket, kind="stable")]
        ends = np.cumsum(np.bincount(bucket, minlength=BUCKETS))
        for file, part in zip(self._files[rows.dtype], np.split(rows, ends[:-1]), strict=True):
            part.tofile(file)


def _file(folder: Path, dtype: np.dtype[np.void], bucket: int) -> Path:
    return folder / f"{'samples' if dtype == _SAMPLE else 'scores'}-{bucket}"


def _runs(*columns: Ints) -> list[tuple[int, int]]:
    """Where runs of equal values begin and end."""
    if not len(columns[0]):
        return []
    changes = np.zeros(len(columns[0]) - 1, np.bool_)
    for column in columns:
        changes |= column[1:] != column[:-1]
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(columns[0])]
    return list(pairwise(edges))


def _at(times: Ints, known: Ints, scores: Floats) -> Floats:
    """The score at each time; NaN where there is none."""
    if len(times) == len(known) and (times == known).all():
        return scores.copy()
    found = np.full(len(times), np.nan)
    if len(known):
        place = np.minimum(np.searchsorted(known, times), len(known) - 1)
        there = known[place] == times
        found[there] = scores[place[there]]
    return found


def _places(column: pl.Series, places: Mapping[str, int]) -> Ints:
    """The place of each value; -1 for one that has none."""
    words = column.cast(pl.Categorical)
    different = words.unique().drop_nulls()
    codes = different.to_physical().to_numpy()
    # One more than there are codes: null's is -1, the last.
    place = np.full(int(codes.max(initial=0)) + 2, -1)
    place[codes] = [places.get(word, -1) for word in different]
    found: Ints = place[words.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()]
    return found
