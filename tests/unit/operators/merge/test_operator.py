"""The merge as a Bytewax step: state that survives, clusters that go, a drain that waits."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from operators.collect.settings import ExpectSettings
from operators.drain import Drain
from operators.merge.operator import merge
from operators.merge.settings import FillSettings
from operators.schema.metrics import COLLECTION
from operators.ticks import Outcome, TickResult, Ticks
from tests.merge_by_hand import kafka_plan

INTERVAL = 30_000
T = 1_000 * INTERVAL
KINDS = ("brokers", "topics", "groups")


def due(cluster: str, tick: int) -> list[Any]:
    return [(cluster, Ticks(cluster, tick, INTERVAL, kind=kind)) for kind in KINDS]


def failed(cluster: str, tick: int) -> list[Any]:
    ticks = [Ticks(cluster, tick, INTERVAL, kind=kind) for kind in KINDS]
    return [(cluster, TickResult(t, Outcome.FAILED, error_class="timeout")) for t in ticks]


def flow_of(
    inputs: list[Any], clusters: Sequence[str], drain: Drain, now: int
) -> tuple[Dataflow, list[Any]]:
    """A dataflow from prepared ticks and results to a list."""
    plans = {
        name: kafka_plan(name, "test", expect=ExpectSettings(topics=("orders",)))
        for name in clusters
    }
    flow = Dataflow("test")
    both = op.input("in", flow, TestingSource(inputs))
    split = op.branch("split", both, lambda item: isinstance(item[1], Ticks))
    merged = merge(
        "merge", split.trues, split.falses, plans, FillSettings(), drain,
        clock=lambda: now,
    )  # fmt: skip
    out: list[Any] = []
    op.output("out", merged, TestingSink(out))
    return flow, out


def rows_of(out: list[tuple[str, pa.RecordBatch]]) -> list[tuple[str, str, int]]:
    return sorted(
        (
            row["entity_name"],
            row["origin"],
            (round(row["timestamp"].timestamp() * 1000) - T) // INTERVAL,
        )
        for _, batch in out
        for row in batch.to_pylist()
        if row["entity_type"] != COLLECTION.name
    )


def test_failed_tick_is_filled_and_leaves_the_drain() -> None:
    """Once its kinds have failed, a tick is filled and nothing is under way."""
    drain = Drain()
    flow, out = flow_of([*due("a", T), *failed("a", T)], ["a"], drain, now=T)
    run_main(flow)
    assert rows_of(out) == [("a", "filled", 0), ("a/orders", "filled", 0)]
    assert drain.under_way == 0


def test_silent_tick_is_filled_by_the_clock() -> None:
    """A tick without results settles when its deadline has passed."""
    drain = Drain()
    flow, out = flow_of(due("a", T), ["a"], drain, now=T + 15_000)
    run_main(flow)
    assert rows_of(out) == [("a", "filled", 0), ("a/orders", "filled", 0)]
    assert drain.under_way == 0


def test_open_tick_survives_a_restart(tmp_path: Path) -> None:
    """What is pending at the end is in the state, held in the drain, and settles afterwards."""
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(tmp_path)
    inputs = [*due("a", T), TestingSource.EOF(), *failed("a", T)]
    before, after = Drain(), Drain()
    flow, out = flow_of(inputs, ["a"], before, now=T)
    run_main(flow, epoch_interval=timedelta(0), recovery_config=recovery)
    assert (rows_of(out), before.under_way) == ([], 1)
    flow, out = flow_of(inputs, ["a"], after, now=T)
    run_main(flow, epoch_interval=timedelta(0), recovery_config=recovery)
    assert rows_of(out) == [("a", "filled", 0), ("a/orders", "filled", 0)]
    assert after.under_way == 0


def test_removed_cluster_is_dropped_and_the_others_go_on(tmp_path: Path) -> None:
    """State of a cluster that the configuration no longer names does not come back."""
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(tmp_path)
    inputs = [
        *due("a", T), *due("b", T), TestingSource.EOF(),
        *failed("b", T), TestingSource.EOF(),
        *failed("b", T + INTERVAL),
    ]  # fmt: skip
    outs, under_way = [], []
    for clusters in (["a", "b"], ["b"], ["a", "b"]):
        drain = Drain()
        flow, out = flow_of(inputs, clusters, drain, now=T)
        run_main(flow, epoch_interval=timedelta(0), recovery_config=recovery)
        outs.append(rows_of(out))
        under_way.append(drain.under_way)
    assert outs[1:] == [
        [("b", "filled", 0), ("b/orders", "filled", 0)],
        [("b", "filled", 1), ("b/orders", "filled", 1)],
    ]
    assert under_way == [2, 0, 0]
