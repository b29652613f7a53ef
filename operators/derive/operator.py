"""The derivation as a Bytewax step, keyed by cluster."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import bytewax.operators as op
import pyarrow as pa
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.derive.kafka import KAFKA_RULES
from operators.derive.rules import Rule, Rules, each
from operators.derive.store import Raw, frozen, thawed
from operators.derive.totals import SCHEMAS as TOTALS
from operators.derive.totals import derive_totals, kept_totals
from operators.schema.clock import utc_now
from operators.ticks import Outcome, TickResult

MOST_INTERVALS = 5
"""Readings that are more than so many intervals apart are not compared: a mean over them would
be no rate of this tick."""

STATE_VERSION = 2

DeriveState = tuple[int, str, dict[str, tuple[int, dict[str, bytes]]]]
"""Version; cluster; by kind: the last tick (ms) and its raw measures as bytes."""


_BY_TOTALS = Rule(each(derive_totals, kept_totals), TOTALS)
"""That of any kind that reports counters of its entities."""


class ClusterDerivation:
    """Fills in the derived columns of one cluster's results, tick by tick, by its provider's rules.

    They are Kafka's where it is given none.
    """

    def __init__(self, cluster: str, rules: Rules | None, state: DeriveState | None = None) -> None:
        self._cluster = cluster
        self._rules = KAFKA_RULES if rules is None else rules
        self._last: dict[str, tuple[int, Raw]] = {}
        self._frozen: dict[str, tuple[int, dict[str, bytes]]] = {}
        if state is not None:
            for kind, (tick, raw) in state[2].items():
                # The cluster of this name may be another provider's now.
                if rule := self._rule_of(kind, raw.keys()):
                    self._frozen[kind] = tick, raw
                    self._last[kind] = tick, _nothing(rule.schemas) | thawed(raw, rule.schemas)

    def _rule_of(self, kind: str, raw: Collection[str]) -> Rule | None:
        return _BY_TOTALS if TOTALS.keys() >= set(raw) else self._rules.get(kind)

    def derive(self, result: TickResult) -> TickResult:
        """The result with its derived columns and without its raw measures.

        A result without measures, of another kind of target, or of an earlier tick than the last
        one passes as it is. Where it is earlier by more than one can be late, the clock was set
        back: nothing is compared across that.
        """
        kind = str(result.tick.kind)
        rule = self._rule_of(kind, result.raw.keys()) if result.raw else None
        if rule is None:
            return result
        schemas = rule.schemas
        tick, before = self._last.get(kind) or (None, _nothing(schemas))
        if not before.keys() >= schemas.keys():
            before = _nothing(schemas)  # The cluster of this name is another provider's now.
        if tick is not None and result.tick.start <= tick:
            if tick - result.tick.start <= MOST_INTERVALS * result.tick.interval:
                return replace(result, raw={})
            before = _nothing(schemas)
        most = MOST_INTERVALS * result.tick.interval / 1000
        partial = result.error_class is not None or result.outcome is not Outcome.COMPLETED
        batches, kept = rule.derivation(result.batches, result.raw, before, partial, most)
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
    clusters: Mapping[str, Rules | None],
    measured: Callable[[TickResult], None] | None = None,
) -> KeyedStream[TickResult]:
    """Fill in the columns that compare a target's ticks: rates, trends, lag in seconds.

    Unit of parallelism: the cluster, by which the stream is keyed. `clusters` gives the rules of each
    one's provider, None for Kafka's. State: the last raw measures of each kind, so rates go on after a restart. State of
    a cluster that is not in `clusters`, or of another version, is dropped. `measured` gets each result
    while it has its measures.
    """

    def build(state: DeriveState | None) -> _DeriveLogic:
        return _DeriveLogic(state, clusters, measured)

    return op.stateful_batch(step_id, up, build)


class _DeriveLogic(StatefulBatchLogic[TickResult, TickResult, DeriveState | None]):
    def __init__(
        self,
        state: DeriveState | None,
        clusters: Mapping[str, Rules | None],
        measured: Callable[[TickResult], None] | None,
    ) -> None:
        self._clusters = clusters
        self._measured = measured
        readable = state is not None and state[0] == STATE_VERSION and state[1] in clusters
        self._cluster = self._of(state[1], state) if state and readable else None
        self._left_over = None if readable else state

    def _of(self, cluster: str, state: DeriveState | None = None) -> ClusterDerivation:
        return ClusterDerivation(cluster, self._clusters[cluster], state)

    def on_batch(self, values: list[TickResult]) -> tuple[Iterable[TickResult], bool]:
        derived = []
        for result in values:
            if self._cluster is None:
                self._cluster, self._left_over = self._of(result.tick.cluster), None
            if self._measured is not None:
                self._measured(result)
            derived.append(self._cluster.derive(result))
        return derived, StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[Iterable[Any], bool]:
        return [], StatefulBatchLogic.DISCARD

    def notify_at(self) -> datetime | None:
        # The state of a cluster that is no longer there, or of another version, goes at once.
        return None if self._left_over is None else utc_now()

    def snapshot(self) -> DeriveState | None:
        return self._left_over if self._cluster is None else self._cluster.snapshot()


def _nothing(schemas: Mapping[str, pa.Schema]) -> dict[str, pa.RecordBatch]:
    return {name: pa.RecordBatch.from_pylist([], schema=schema) for name, schema in schemas.items()}
