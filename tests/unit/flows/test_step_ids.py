"""Step ids key the recovery store: a renamed step loses its state in silence."""

from types import SimpleNamespace
from typing import Any, cast

from bytewax.dataflow import Dataflow, Operator
from bytewax.testing import TestingSink

from flows.export import dataflow
from flows.stream import Stream, stream
from operators.drain import Drain
from operators.fleets import FleetSource
from operators.schedule import Range, RealTime
from operators.schema.events import nobody
from operators.targets import TargetSource
from sinks.parquet.direct import DirectParquet
from sinks.parquet.settings import ParquetSettings


def stateful_ids(flow: Dataflow) -> set[str]:
    """The ids of the steps that the engine keeps state of."""
    found: set[str] = set()

    def visit(steps: list[Operator]) -> None:
        for step in steps:
            name = type(step).__name__
            if name in ("input", "output", "stateful_batch"):
                found.add(step.step_id)
            visit(list(getattr(step, "substeps", [])))

    visit(flow.substeps)
    return found


def test_step_ids_of_the_stream() -> None:
    """Whoever renames one of these orphans every user's state: add a migration first."""
    drain = Drain()
    schedule = RealTime(0)
    collection = SimpleNamespace(
        work=None, pools={}, priorities={}, deadline=1.0, plans={}, rules={}
    )
    parts = Stream(
        targets=TargetSource({}, schedule, drain),
        fleets=FleetSource({}, 1000, schedule, drain),
        collection=cast("Any", collection),
        fill=None,
        catch_up=0,
        drain=drain,
        sinks={"parquet": TestingSink([])},
        saw=lambda _cluster, _batch: None,
        listener=nobody,
    )
    assert stateful_ids(stream(parts)) == {
        "mqpipe.targets",
        "mqpipe.fleets",
        "mqpipe.collect",
        "mqpipe.derive",
        "mqpipe.merge",
        "mqpipe.parquet",
        "mqpipe.drain_asked",
        "mqpipe.drain_told",
    }


def test_step_ids_of_the_export() -> None:
    """An export that was stopped finds its state by these."""
    fleets = FleetSource({}, 1000, Range(0, 1), Drain())
    parquet = DirectParquet(ParquetSettings(path="/nowhere"), [], "run")
    assert stateful_ids(dataflow(fleets, {"parquet": parquet}, lambda _rows: None)) == {
        "mqpipe-export.fleets",
        "mqpipe-export.parquet",
    }
