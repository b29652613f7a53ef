"""Every entity's series of samples, one after the other, from any number of files.

Files hold ticks of many entities; what is scored is one entity's ticks. So rows are first dealt
out by entity to files of their own (buckets), and then one such file is read after the other: memory
holds one of them, whatever the number of samples. Several processes may deal at once, each to files
of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.anomalies.ground_truth import NO_SERIES
from flows.samples import Samples
from operators.schema.arrays import Floats, Ints
from operators.schema.metrics import ENTITY_TYPES, EntityType

BUCKET = 300_000
"""Samples that a bucket is meant to hold."""

MOST_BUCKETS = 4_096

ROWS = 500_000
"""Rows read at a time."""

NO_LABEL = -1

SeriesRows: TypeAlias = Mapping[str, NDArray[Any]]
"""Columns of equal length."""

_SAMPLE = np.dtype([("name", "i4"), ("label", "i4"), ("time", "i8")])
_SCORE = np.dtype([("name", "i4"), ("time", "i8"), ("score", "f8")])
_ANY_TYPE = -1
"""What stands for a score's type: it is of whatever bears the path."""


class Name(NamedTuple):
    """Whose a series is."""

    entity_type: int
    """Its place among ENTITY_TYPES."""
    path: str


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
class Dealt:
    """Rows that one process dealt out, to be read bucket by bucket in any."""

    stem: Path
    dtype: np.dtype[np.void]
    names: tuple[Name, ...]
    """All that were met, by what their rows call them; those that were not wanted have no rows."""
    rows: tuple[int, ...]
    """How many each has."""

    def read(self, bucket: int) -> SeriesRows:
        """The rows of one bucket, in the order in which they came."""
        file = _file(self.stem, bucket)
        rows = np.fromfile(file, self.dtype) if file.exists() else np.empty(0, self.dtype)
        return {column: rows[column] for column in self.dtype.names or ()}


def buckets_for(rows: int) -> int:
    """How many buckets so many rows are dealt out to."""
    return min(MOST_BUCKETS, 1 + rows // BUCKET)


def deal_samples(
    samples: Samples,
    stem: Path,
    buckets: int,
    labels: Mapping[str, int],
    wanted: Iterable[str] | None = None,
) -> Dealt:
    """Deal samples out by entity, to files whose names begin with `stem`.

    Args:
        samples: Where they are.
        stem: The beginning of the files' paths.
        buckets: How many files.
        labels: The place of each anomaly by its label.
        wanted: Paths of the entities whose series are wanted; all of them without it.
    """
    dealing = _Dealing(stem, _SAMPLE, buckets, None if wanted is None else frozenset(wanted))
    for code, entity_type in enumerate(ENTITY_TYPES):
        if entity_type not in samples.files or entity_type in NO_SERIES:
            continue
        rows = samples.scan(entity_type).select("entity_name", "timestamp", "anomaly")
        for frame in rows.collect_batches(chunk_size=ROWS, maintain_order=False):
            label = _coded(frame["anomaly"], lambda word: labels.get(word, NO_LABEL))
            time = frame["timestamp"].cast(pl.Int64).to_numpy()
            dealing.deal(code, frame["entity_name"], {"label": label, "time": time})
    return dealing.done()


def deal_scores(frames: Iterable[pl.DataFrame], stem: Path, buckets: int) -> Dealt:
    """Deal scores out by entity; shape of each frame: `entity` (path), `time` (ms), `score`."""
    dealing = _Dealing(stem, _SCORE, buckets, None)
    for frame in frames:
        score = frame["score"].cast(pl.Float64).to_numpy()
        columns = {"time": frame["time"].to_numpy(), "score": score}
        dealing.deal(_ANY_TYPE, frame["entity"], columns)
    return dealing.done()


def read_series(samples: Iterable[Dealt], scores: Iterable[Dealt], bucket: int) -> Iterator[Series]:
    """The series of one bucket. A sample that is there twice counts once."""
    given = dict(_by_name(scores, bucket))
    for name, rows in _by_name(samples, bucket):
        times = rows["time"]
        known = given.get(Name(_ANY_TYPE, name.path))
        yield Series(
            name.path,
            ENTITY_TYPES[name.entity_type],
            times,
            rows["label"],
            np.full(len(times), np.nan) if known is None else _at(times, known),
        )


class _Dealing:
    """Deals rows out by name to files."""

    def __init__(
        self, stem: Path, dtype: np.dtype[np.void], buckets: int, wanted: frozenset[str] | None
    ) -> None:
        self._stem, self._dtype, self._buckets, self._wanted = stem, dtype, buckets, wanted
        self._numbers: dict[Name, int] = {}
        self._bucket: list[int] = []
        """Of each name, by its number; one more than there are for one that is not wanted."""
        self._rows: Ints = np.zeros(0, np.int64)

    def deal(self, entity_type: int, paths: pl.Series, columns: SeriesRows) -> None:
        """Append rows to the files of their names; `columns` are those of the dtype but `name`."""
        number = _coded(paths, lambda path: self._number(Name(entity_type, path)))
        met = np.bincount(number[number >= 0], minlength=len(self._bucket))
        met[: len(self._rows)] += self._rows
        self._rows = met
        bucket = np.array([*self._bucket, self._buckets], np.int16)[number]
        order = np.argsort(bucket, kind="stable")
        rows = np.empty(len(order), self._dtype)
        rows["name"] = number[order]
        for column, values in columns.items():
            rows[column] = values[order]
        ends = np.cumsum(np.bincount(bucket, minlength=self._buckets + 1))[: self._buckets]
        for place, (begin, end) in enumerate(pairwise([0, *ends.tolist()])):
            if begin < end:
                with _file(self._stem, place).open("ab") as file:
                    rows[begin:end].tofile(file)

    def done(self) -> Dealt:
        """What was dealt out."""
        return Dealt(self._stem, self._dtype, tuple(self._numbers), tuple(self._rows.tolist()))

    def _number(self, name: Name) -> int:
        number = self._numbers.setdefault(name, len(self._numbers))
        if number == len(self._bucket):
            mine = self._wanted is None or name.path in self._wanted
            bucket = crc32(name.path.encode()) % self._buckets if mine else self._buckets
            self._bucket.append(bucket)
        return number


def _file(stem: Path, bucket: int) -> Path:
    return stem.with_name(f"{stem.name}-{bucket}")


def _coded(column: pl.Series, code: Callable[[str], int]) -> Ints:
    """The code of each word; -1 where there is none."""
    words = column.cast(pl.Categorical).to_arrow()
    codes = np.array([*map(code, words.dictionary.to_pylist()), -1], np.int64)
    found: Ints = codes[words.indices.fill_null(len(codes) - 1).to_numpy(zero_copy_only=False)]
    return found


def _by_name(parts: Iterable[Dealt], bucket: int) -> Iterator[tuple[Name, SeriesRows]]:
    """Each name of a bucket with its rows in the order of time, no time twice."""
    numbers: dict[Name, int] = {}
    codes, tables = [], []
    for part in parts:
        rows = part.read(bucket)
        different, code = np.unique(rows["name"], return_inverse=True)
        number = [numbers.setdefault(part.names[n], len(numbers)) for n in different.tolist()]
        codes.append(np.array(number, np.int64)[code])
        tables.append(rows)
    if not numbers:
        return
    joined = np.concatenate(codes)
    # Of 16 bits, numpy sorts by counting.
    order = np.argsort(joined.astype(np.min_scalar_type(len(numbers))), kind="stable")
    columns = {
        name: np.concatenate([rows[name] for rows in tables])[order]
        for name in tables[0]
        if name != "name"
    }
    ends = np.cumsum(np.bincount(joined)).tolist()
    for name, (begin, end) in zip(numbers, pairwise([0, *ends]), strict=True):
        yield name, _in_time({key: values[begin:end] for key, values in columns.items()})


def _in_time(rows: SeriesRows) -> SeriesRows:
    times = rows["time"]
    if (times[1:] > times[:-1]).all():
        return rows
    _, first = np.unique(times, return_index=True)
    return {name: values[first] for name, values in rows.items()}


def _at(times: Ints, rows: SeriesRows) -> Floats:
    """The score at each time; NaN where there is none."""
    known, scores = rows["time"], rows["score"]
    if len(times) == len(known) and (times == known).all():
        return scores
    found = np.full(len(times), np.nan)
    place = np.minimum(np.searchsorted(known, times), len(known) - 1)
    there = known[place] == times
    found[there] = scores[place[there]]
    return found
