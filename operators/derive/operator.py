"""The derivation as a Bytewax step, keyed by cluster."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import bytewax.operators as op
import pyarrow as pa
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.collect.raw.schemas import (
    COMMITS,
    CONSUMPTION,
    COUNTERS,
    EPOCHS,
    MEMBERS,
    OFFSETS,
    PAGES,
)
from operators.derive.brokers import derive_brokers, kept_brokers
from operators.derive.groups import derived_groups
from operators.derive.history import HISTORY
from operators.derive.store import Raw, frozen, thawed
from operators.derive.topics import derive_topics, kept_topics
from operators.derive.totals import SCHEMAS as TOTALS
from operators.derive.totals import derive_totals, kept_totals
from operators.rabbitmq.derive import SCHEMAS, derive_queues, kept_queues
from operators.ticks import Outcome, TargetKind, TickResult

MOST_INTERVALS = 5
"""Readings that are more than so many intervals apart are not compared: a mean over them would
be no rate of this tick."""

STATE_VERSION = 2

DeriveState = tuple[int, str, dict[str, tuple[int, dict[str, bytes]]]]
"""Version; cluster; by kind: the last tick (ms) and its raw measures as bytes."""


class _Derive(Protocol):
    def __call__(
        self, batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, most: float
    ) -> tuple[pa.RecordBatch, ...]: ...


class _Keep(Protocol):
    def __call__(self, now: Raw, before: Raw, partial: bool, most: float) -> Raw: ...


class _Derivation(Protocol):
    def __call__(
        self,
        batches: tuple[pa.RecordBatch, ...],
        now: Raw,
        before: Raw,
        partial: bool,
        most: float,
    ) -> tuple[tuple[pa.RecordBatch, ...], Raw]: ...


def _each(derive: _Derive, keep: _Keep) -> _Derivation:
    """The rule of a kind whose columns and whose kept measures have nothing in common."""
    return lambda batches, now, before, partial, most: (
        derive(batches, now, before, most),
        keep(now, before, partial, most),
    )


_RULES: Mapping[str, tuple[_Derivation, Mapping[str, pa.Schema]]] = {
    TargetKind.BROKERS: (
        _each(derive_brokers, lambda now, before, partial, most: kept_brokers(now, before)),  # noqa: ARG005
        {"pages": PAGES, "counters": COUNTERS, "epochs": EPOCHS},
    ),
    TargetKind.TOPICS: (
        _each(derive_topics, kept_topics),
        {"pages": PAGES, "counters": COUNTERS, "offsets": OFFSETS, "consumption": CONSUMPTION},
    ),
    TargetKind.GROUPS: (
        derived_groups,
        {"members": MEMBERS, "commits": COMMITS, "history": HISTORY},
    ),
    "queues": (
        _each(derive_queues, kept_queues),
        SCHEMAS,
    ),
}
"""By kind: how columns are derived and what is kept, and the shapes of that."""

_BY_TOTALS: tuple[_Derivation, Mapping[str, pa.Schema]] = _each(derive_totals, kept_totals), TOTALS
"""The same of any kind that tells counters of its entities."""


def _rule_of(kind: str, raw: Collection[str]) -> tuple[_Derivation, Mapping[str, pa.Schema]]:
    return _BY_TOTALS if TOTALS.keys() >= set(raw) else _RULES[kind]


class ClusterDerivation:
    """Fills in the derived columns of one cluster's results, tick by tick."""

    def __init__(self, cluster: str, state: DeriveState | None = None) -> None:
        self._cluster = cluster
        self._last: dict[str, tuple[int, Raw]] = {}
        self._frozen: dict[str, tuple[int, dict[str, bytes]]] = {}
        if state is not None:
            self._frozen = dict(state[2])
            self._last = {
                kind: (tick, {**_nothing(schemas), **thawed(raw, schemas)})
                for kind, (tick, raw) in state[2].items()
                for _, schemas in [_rule_of(kind, raw.keys())]
            }

    def derive(self, result: TickResult) -> TickResult:
        """The result with its derived columns and without its raw measures.

        A result without measures, of another kind of target, or of an earlier tick than the last
        one passes as it is. Where it is earlier by more than one can be late, the clock was set
        back: nothing is compared across that.
        """
        kind = str(result.tick.kind)
        if not result.raw or not (kind in _RULES or result.raw.keys() <= TOTALS.keys()):
            return result
        rule, schemas = _rule_of(kind, result.raw.keys())
        tick, before = self._last.get(kind) or (None, _nothing(schemas))
        if not before.keys() >= schemas.keys():
            before = _nothing(schemas)  # The cluster of this name is another provider's now.
        if tick is not None and result.tick.start <= tick:
            if tick - result.tick.start <= MOST_INTERVALS * result.tick.interval:
                return replace(result, raw={})
            before = _nothing(schemas)
        most = MOST_INTERVALS * result.tick.interval / 1000
        partial = result.error_class is not None or result.outcome is not Outcome.COMPLETED
        batches, kept = rule(result.batches, result.raw, before, partial, most)
        self._last[kind] = result.tick.start, kept
        self._frozen.pop(kind, None)
        return replace(result, batches=batches, raw={})

    def snapshot(self) -> DeriveState:
        """The state, as plain values; see `DeriveState`."""
        for kind, (tick, raw) in self._last.items():
            if kind not in self._frozen:
                self._frozen[kind] = tick, frozen(raw)
        return STATE_VERSION, self._cluster, dict(self._frozen)


def derive(
    step_id: str,
    up: KeyedStream[TickResult],
    clusters: Collection[str],
    measured: Callable[[TickResult], None] | None = None,
) -> KeyedStream[TickResult]:
    """Fill in the columns that compare a target's ticks: rates, trends, lag in seconds.

    Unit of parallelism: the cluster, by which the stream is keyed. State: the last raw measures
    of each kind, so rates go on after a restart. State of a cluster that is not in `clusters`,
    or of another version, is dropped. `measured` gets each result while it has its measures.
    """

    def build(state: DeriveState | None) -> _DeriveLogic:
        return _DeriveLogic(state, clusters, measured)

    return op.stateful_batch(step_id, up, build)


class _DeriveLogic(StatefulBatchLogic[TickResult, TickResult, DeriveState | None]):
    def __init__(
        self,
        state: DeriveState | None,
        clusters: Collection[str],
        measured: Callable[[TickResult], None] | None,
    ) -> None:
        self._measured = measured
        readable = state is not None and state[0] == STATE_VERSION and state[1] in clusters
        self._cluster = ClusterDerivation(state[1], state) if state and readable else None
        self._left_over = None if readable else state

    def on_batch(self, values: list[TickResult]) -> tuple[Iterable[TickResult], bool]:
        derived = []
        for result in values:
            if self._cluster is None:
                self._cluster, self._left_over = ClusterDerivation(result.tick.cluster), None
            if self._measured is not None:
                self._measured(result)
            derived.append(self._cluster.derive(result))
        return derived, StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[Iterable[Any], bool]:
        return [], StatefulBatchLogic.DISCARD

    def notify_at(self) -> datetime | None:
        # The state of a cluster that is no longer there, or of another version, goes at once.
        return None if self._left_over is None else datetime.now(UTC)

    def snapshot(self) -> DeriveState | None:
        return self._left_over if self._cluster is None else self._cluster.snapshot()


def _nothing(schemas: Mapping[str, pa.Schema]) -> Raw:
    return {name: pa.RecordBatch.from_pylist([], schema=schema) for name, schema in schemas.items()}
