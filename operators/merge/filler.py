"""The gaps of one kind of a cluster: what its entities last were, and rows in their place."""

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.merge.continuity import Course, filled
from operators.merge.levels import Levels, Times, compact, guids_of
from operators.merge.plan import ExpectedNames, Plan
from operators.schema.arrow import entity_type_of
from operators.schema.ipc import BatchDecodeError, decode, encode_all
from operators.schema.metrics import BY_NAME, CONSUMER_GROUP, EntityType


class Filler:
    """Remembers the entities that one kind of target gives, and fills where one is missing.

    An entity is filled while it is expected, or once it has been silent for `stale_after` ms. It
    is forgotten when a complete result no longer names it, unless it is expected. An expected
    group's rows by topic and by partition are filled with it, once they were seen: which topics a
    group reads is not made up.

    The plan's `servers` are the exception, for the provider lists only those that are up. One that
    is not named is down, not deleted; `forget_absent` says that it is.
    """

    def __init__(self, plan: Plan, kind: str, stale_after: int) -> None:
        self._plan = plan
        self._stale_after = stale_after
        self._expected = {t.name: names for t, names in plan.expected(kind).items()}
        self._levels = {name: self._empty(name) for name in self._expected}
        self._encoded: dict[str, tuple[Levels, bytes]] = {}

    def _empty(self, name: str) -> Levels:
        groups = self._expected.get(CONSUMER_GROUP.name, {})
        return Levels.empty(
            BY_NAME[name],
            pa.array(list(self._expected.get(name, ())), pa.string()),
            pa.array([group.identity[0] for group in groups.values()], pa.string()),
        )

    def __len__(self) -> int:
        """How many entities are known or expected."""
        return sum(len(levels) + len(levels.unknown) for levels in self._levels.values())

    def frozen(self) -> "Filler":
        """A copy that later samples do not reach."""
        copied = copy(self)
        copied._levels = dict(self._levels)  # noqa: SLF001
        copied._encoded = dict(self._encoded)  # noqa: SLF001
        return copied

    def collected(self, tick: int, batches: Iterable[pa.RecordBatch], complete: bool) -> None:
        """Take the samples collected at `tick` (ms); `complete` if they name all that exists."""
        named: dict[str, pa.StringArray] = {}
        for batch in batches:
            name = entity_type_of(batch).name
            if name not in self._levels:
                self._levels[name] = self._empty(name)
            levels = self._levels[name] = self._levels[name].collected(batch)
            named[name] = levels.guids if levels.rows is batch else guids_of(batch)
        if complete:
            servers = self._plan.servers
            for name in self._levels.keys() - {servers and servers.entity_type.name}:
                self._levels[name] = self._levels[name].named(named.get(name), tick)

    def forget_absent(self, tick: int) -> None:
        """Forget what was last seen before `tick` (ms) and is not expected."""
        for name, levels in self._levels.items():
            self._levels[name] = levels.named(None, tick - 1)

    def go_back(self, tick: int) -> None:
        """Take what was last seen after `tick` (ms) as seen then: the clock was set back."""
        self._levels = {name: levels.gone_back(tick) for name, levels in self._levels.items()}

    def fill(self, ticks: Times, course: Course) -> list[pa.RecordBatch]:
        """Filled samples of `ticks` (ascending, ms), for every entity that is missing at one."""
        self.know_expected(int(ticks[0]), course.interval)
        batches = []
        for levels in self._levels.values():
            which, when = levels.absent(ticks, self._stale_after)
            if len(which):
                rows = levels.rows
                if len(which) != len(rows) or (which != np.arange(len(rows))).any():
                    rows = rows.take(pa.array(which))
                batches.append(filled(rows, when, course, self._plan.environment))
        return batches

    def know_expected(self, tick: int, interval: int) -> None:
        """Give what is expected and was never seen its levels, as of `tick` (ms)."""
        for name, levels in self._levels.items():
            unknown = levels.unknown
            if len(unknown):
                names = {guid: self._expected[name][guid] for guid in unknown.to_pylist()}
                for rows in never_seen(self._plan, BY_NAME[name], names, tick, interval):
                    levels = levels.with_rows(rows)
                self._levels[name] = levels

    def snapshot(self) -> tuple[bytes, ...]:
        """The state: for each entity type the last samples, encoded.

        What has not changed since the last snapshot is not encoded again.
        """
        for name, levels in self._levels.items():
            if name not in self._encoded or self._encoded[name][0] is not levels:
                self._encoded[name] = (levels, encode_all([levels.rows], "zstd"))
        return tuple(self._encoded[name][1] for name in self._levels)

    def restore(self, state: Iterable[bytes]) -> Self:
        """Take up a snapshot; what of it cannot be read is as if it was never seen."""
        for encoded in state:
            try:
                rows = decode(encoded)
            except BatchDecodeError:
                continue
            name = entity_type_of(rows).name
            self._levels[name] = replace(self._empty(name), rows=rows).seen_or_expected()
        return self


def never_seen(
    plan: Plan, entity_type: EntityType, names: ExpectedNames, tick: int, interval: int
) -> list[pa.RecordBatch]:
    """Rows of expected entities that have never had a sample, as of `tick` (ms).

    Their levels are those of the fleet that the cluster is like; null where it has none.
    """
    left = dict(names)
    rows = []
    for batch in plan.like.levels(tick, interval):
        if entity_type_of(batch) is entity_type:
            guids = guids_of(batch)
            known = pc.is_in(guids, value_set=pa.array(list(left), pa.string()))
            rows.append(compact(batch.filter(known)))
            for guid in guids.filter(known).to_pylist():
                del left[guid]
    if left:
        rows.append(plan.bare_rows(entity_type, left, tick))
    return rows
