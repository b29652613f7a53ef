"""Ticks: the due times of targets and shards, and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa


class TargetKind(StrEnum):
    """What of a Kafka cluster a target collects."""

    BROKERS = "brokers"
    TOPICS = "topics"
    GROUPS = "groups"


KAFKA_KINDS = tuple(kind.value for kind in TargetKind)
"""Those of a Kafka cluster, which make its row together."""

PROBE_KIND = "probe"
"""The kind of a cluster's end-to-end probe, which knows nothing of the cluster's row."""

SIMULATION_KIND = "simulation"
"""The kind of a simulated cluster whose generator does I/O."""


def input_partition(cluster: str, kind: str | None) -> str:
    """The name of an input partition: `<cluster>` of a shard, `<cluster>/<kind>` of a target."""
    return cluster if kind is None else f"{cluster}/{kind}"


@dataclass(frozen=True, slots=True)
class Ticks:
    """Consecutive due times of one input partition: a target's, or a shard's.

    In real time `count` is 1; catching up and in an export one value is a block of ticks.
    Times are milliseconds since the Unix epoch, multiples of `interval` (milliseconds).
    `missed` are the due times just before `start` that nobody served and nobody will:
    `start - missed * interval` is the first of them. With neither `count` nor `missed` it says that
    the samples of the due times before `start` are there: the clock was set back behind them.
    """

    cluster: str
    start: int
    interval: int
    count: int = 1
    missed: int = 0
    kind: str | None = None
    """A target's kind; None for a simulated shard, whose name is `cluster`."""
    delay: int = 0
    """Milliseconds after a due time at which the cluster is asked; its deadline is as much later."""

    @property
    def partition(self) -> str:
        """The input partition's name."""
        return input_partition(self.cluster, self.kind)

    @property
    def end(self) -> int:
        """The first due time after these, in milliseconds."""
        return self.start + self.count * self.interval


class Outcome(StrEnum):
    """How a target's tick ended."""

    COMPLETED = "completed"
    """All samples came (those of a partial scrape among them)."""
    FAILED = "failed"
    """Every attempt failed or the deadline passed."""
    OVERRUN = "overrun"
    """The target's previous tick was still running."""
    REFUSED = "refused"
    """The pool's queue was full, or the target's breaker is open."""
    MISSED = "missed"
    """Under way when the process died, or due while it was not running."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one successful attempt at one tick of one target gave.

    `batches` are samples. Each kind may add one batch of one CLUSTER row with the columns that
    it knows; merge joins those of a tick by `operators.merge.row.cluster_row`.
    `raw` holds what is measured but is no column (counters, offsets a partition), by name; the
    derivation reads it and drops it.
    `error_class` and `error` say which parts a partial scrape lacks, and why.
    """

    batches: tuple[pa.RecordBatch, ...] = ()
    raw: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    error_class: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TickResult:
    """What one tick of one target gave. `tick.count` is 1.

    With outcome `missed` it is about `tick.start` and the `tick.missed` due times just before
    it, all of them missed. With every other outcome `tick.missed` is 0: those were reported.

    `batches` hold the samples of the entities that answered (origin `collected`), whatever the
    outcome, and `raw` what the derivation makes columns of (see `Collected`). `error_class` and
    `error` are those of a failed tick, or of the parts that a completed but partial one lacks.
    """

    tick: Ticks
    outcome: Outcome
    batches: tuple[pa.RecordBatch, ...] = ()
    raw: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    attempts: int = 0
    duration: float = 0.0
    """Seconds from the tick's start to its end."""
    error_class: str | None = None
    error: str | None = None

    @property
    def missed(self) -> int:
        """How many due times, up to `tick.start`, were missed."""
        return 1 + self.tick.missed if self.outcome is Outcome.MISSED else 0
