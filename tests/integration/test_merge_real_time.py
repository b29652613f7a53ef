"""Targets, pools and merge in one dataflow, in real time, with a restart between two runs."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main

from operators.background import Background
from operators.drain import Drain
from operators.merge.operator import merge
from operators.merge.settings import FillSettings
from operators.offload import offload
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.schedule import RealTime, after
from operators.schema.clock import wall_clock
from operators.schema.events import Listener
from operators.schema.metrics import COLLECTION
from operators.targets import Target, TargetSource
from operators.ticks import Collected, Ticks
from tests.merge_by_hand import EXPECT, KINDS, kafka_plan, part, samples

INTERVAL = 200
THERE: Mapping[str, tuple[Any, ...]] = {
    "brokers": (1, 2),
    "topics": ("orders",),
    "groups": ("billing",),
}
PATHS = ("prod", "prod/broker-1", "prod/broker-2", "prod/orders", "prod/billing")


async def flaps(tick: Ticks, left: float) -> Collected:
    """Answers, fails, or hangs, by the tick's number and kind."""
    kind, number = str(tick.kind), tick.start // INTERVAL
    match (number + KINDS.index(kind)) % 4:
        case 0:
            raise ConnectionError("refused")
        case 1:
            await asyncio.sleep(3600)
    return Collected((samples(kind, tick.start, THERE[kind]), part(tick.start)))


def run(recovery: RecoveryConfig, ticks: int, heard: Listener) -> list[dict[str, Any]]:
    """Run for so many ticks; the rows that came out."""
    drain, background = Drain(), Background()
    begin = wall_clock()
    schedule = RealTime(begin, until=after(begin, INTERVAL) + ticks * INTERVAL)
    targets = {f"prod/{kind}": Target("prod", kind, INTERVAL) for kind in KINDS}
    settings = PoolSettings.model_validate({"attempts": 1, "breaker": {"failures": 1_000}})
    pools = {kind: Pool(kind, settings, loop=background.loop) for kind in KINDS}
    fill = FillSettings(grace=0.15)

    flow = Dataflow("test")
    due = op.input("targets", flow, TargetSource(targets, schedule, drain))
    results = offload("collect", due, flaps, pools, drain, deadline=lambda _: fill.grace)
    plans = {"prod": kafka_plan(expect=EXPECT)}
    out: list[Any] = []
    op.output("out", merge("merge", due, results, plans, fill, drain, heard), TestingSink(out))
    try:
        run_main(flow, epoch_interval=timedelta(milliseconds=100), recovery_config=recovery)
    finally:
        for pool in pools.values():
            background.run(pool.close())
        background.close()
    return [row for _, batch in out for row in batch.to_pylist()]


def test_every_tick_has_one_sample_of_what_is_expected_through_failures_and_a_restart(
    tmp_path: Path,
) -> None:
    """Collected or filled: none is missing and none double, those of the pause among them."""
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(tmp_path)
    coverage: list[Any] = []
    rows = run(recovery, 6, coverage.append)
    rows += run(recovery, 6, coverage.append)

    entities = [row for row in rows if row["entity_type"] != COLLECTION.name and not row["late"]]
    counted = Counter(
        (row["entity_name"], round(row["timestamp"].timestamp() * 1000)) for row in entities
    )
    ticks = {tick for _, tick in counted}
    every = range(min(ticks), max(ticks) + INTERVAL, INTERVAL)
    assert len(every) >= 12
    assert counted == {(path, tick): 1 for path in PATHS for tick in every}
    assert {row["origin"] for row in entities} == {"collected", "filled"}
    assert sum(c.filled for c in coverage) == sum(row["origin"] == "filled" for row in entities)
