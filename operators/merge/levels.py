"""What each entity of one type last was: the rows that a fill goes on from."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import entity_type_of, sample_batch
from operators.schema.dictionaries import only_used
from operators.schema.metrics import GROUP_CLIENT, GROUP_TOPIC, PARTITION_OFFSET, EntityType, Origin

Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]
"""Milliseconds since the Unix epoch."""

PARTS_OF_GROUPS = frozenset({GROUP_TOPIC, GROUP_CLIENT, PARTITION_OFFSET})
"""Types whose rows are a group's in parts: they are missed when it is."""

_NOBODY = np.zeros(0, np.intp)
_COLLECTED = pa.scalar(Origin.COLLECTED.value, pa.string())


def guids_of(rows: pa.RecordBatch) -> pa.StringArray:
    """The rows' GUIDs, decoded, so that they compare fast."""
    return rows.column("entity_guid").dictionary_decode()


def times_of(rows: pa.RecordBatch) -> Times:
    """The rows' ticks in milliseconds."""
    times: Times = rows.column("timestamp").view(pa.int64()).to_numpy(zero_copy_only=False)
    return times


def _mask(array: pa.BooleanArray) -> Mask:
    mask: Mask = array.to_numpy(zero_copy_only=False)
    return mask


def _is_in(guids: pa.StringArray, those: pa.StringArray) -> Mask:
    return _mask(pc.is_in(guids, value_set=those))


@dataclass(frozen=True)
class Levels:
    """The last sample of each entity of one type; one row an entity.

    `rows` has the shape `schema_of(entity_type)`. A row of origin `collected` is the entity's
    last collected sample and its `timestamp` says when that was; any other row holds the levels
    of an entity that was expected and never seen, as of the tick on which it was first filled.
    `expected` are the GUIDs that the configuration names, `groups` the consumer groups.
    """

    rows: pa.RecordBatch
    expected: pa.StringArray
    groups: pa.StringArray

    @classmethod
    def empty(
        cls, entity_type: EntityType, expected: pa.StringArray, groups: pa.StringArray
    ) -> Self:
        """Nothing seen yet."""
        return cls(sample_batch(entity_type, 0, {}), expected, groups)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @cached_property
    def guids(self) -> pa.StringArray:
        """GUIDs, in the rows' order."""
        return guids_of(self.rows)

    @cached_property
    def at(self) -> Times:
        """The tick (ms) that each row is of."""
        return times_of(self.rows)

    @cached_property
    def first(self) -> int:
        """The earliest tick (ms) that a row is of, where there are rows."""
        return int(self.at.min())

    @cached_property
    def last(self) -> int:
        """The latest tick (ms) that a row is of, where there are rows."""
        return int(self.at.max())

    @cached_property
    def whole(self) -> bool:
        """Whether there are rows, and a sample of each entity was collected."""
        return len(self) > 0 and bool(self.seen.all())

    @cached_property
    def seen(self) -> Mask:
        """Whether a sample of the entity was ever collected."""
        origins = self.rows.column("origin")
        if not origins.null_count and len(origins.dictionary) == 1:
            return np.full(len(self), origins.dictionary[0] == _COLLECTED)
        return _mask(pc.equal(origins, _COLLECTED))

    @cached_property
    def wanted(self) -> Mask:
        """Whether the configuration names the entity."""
        return _is_in(self.guids, self.expected)

    @cached_property
    def parts(self) -> Mask:
        """Whether a row is a part of a group that the configuration names."""
        if not len(self.groups) or entity_type_of(self.rows) not in PARTS_OF_GROUPS:
            return np.zeros(len(self), np.bool_)
        return _is_in(self.rows.column("consumer_group").dictionary_decode(), self.groups)

    @property
    def unknown(self) -> pa.StringArray:
        """Expected GUIDs of which there is no row yet."""
        if int(np.count_nonzero(self.wanted)) == len(self.expected):
            return self.expected.slice(0, 0)
        return self.expected.filter(pc.invert(pc.is_in(self.expected, value_set=self.guids)))

    def collected(self, batch: pa.RecordBatch) -> "Levels":
        """With the collected samples of one tick; an entity's newer row stays."""
        if not len(batch):
            return self
        same = batch.column("entity_guid").equals(self.rows.column("entity_guid"))
        guids = self.guids if same else guids_of(batch)
        last = times_of(batch).max()
        if len(self) and self.last > last and (newer := self.seen & (self.at > last)).any():
            overtaken = pc.is_in(guids, value_set=self.guids.filter(pa.array(newer)))
            batch = batch.filter(pc.invert(overtaken))
            guids = guids_of(batch)
        if guids.equals(self.guids):
            after = replace(self, rows=batch)
            # What is known of the same entities need not be found out again.
            vars(after).update(guids=self.guids, wanted=self.wanted, parts=self.parts)
            return after
        return self._keep(~_is_in(self.guids, guids)).with_rows(batch)

    def with_rows(self, rows: pa.RecordBatch) -> "Levels":
        """With rows of entities that have none."""
        if not len(self):
            return replace(self, rows=rows)
        return replace(self, rows=pa.concat_batches([rows, self.rows]))

    def named(self, guids: pa.StringArray | None, tick: int) -> "Levels":
        """Without those that a complete answer of `tick` (ms) does not name: they are deleted.

        What is expected stays, and what was seen after that tick.
        """
        if guids is not None and guids.equals(self.guids):
            return self
        stays = self.wanted | (self.at > tick)
        if guids is not None:
            stays = stays | _is_in(self.guids, guids)
        return self if stays.all() else self._keep(stays)

    def gone_back(self, tick: int) -> "Levels":
        """With all that is of a later tick than `tick` (ms) as of then."""
        if not (self.at > tick).any():
            return self
        column = self.rows.schema.get_field_index("timestamp")
        times = pa.array(np.minimum(self.at, tick)).cast(self.rows.schema.field(column).type)
        return replace(self, rows=self.rows.set_column(column, "timestamp", times))

    def seen_or_expected(self) -> "Levels":
        """Without those that were never seen and that the configuration no longer names."""
        return self._keep(self.seen | self.wanted | self.parts)

    def _keep(self, mask: Mask) -> "Levels":
        if mask.all():
            return self
        return replace(self, rows=compact(self.rows.filter(pa.array(mask))))

    def absent(self, ticks: Times, stale_after: int) -> tuple[npt.NDArray[np.intp], Times]:
        """Which rows have to be filled at which of `ticks` (ascending, ms).

        An entity is filled where it has no collected sample and is expected, or is a part of a group
        that is, or has been silent for `stale_after` ms. Returns row indices and their ticks, tick by tick.
        """
        if self.whole and self.first >= ticks[-1]:
            return _NOBODY, ticks[:0]
        silent = np.flatnonzero((self.at < ticks[-1]) | ~self.seen)
        if not len(silent):
            return silent, ticks[:0]
        silence = ticks[:, None] - self.at[silent][None, :]
        seen, wanted = self.seen[silent], (self.wanted | self.parts)[silent]
        due = np.where(seen, (silence > 0) & (wanted | (silence >= stale_after)), wanted)
        which, rows = np.nonzero(due)
        return silent[rows], ticks[which]


def compact(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with dictionaries that hold only what they use, lest dictionaries grow for ever."""
    columns = [only_used(column) for column in rows.columns]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)
