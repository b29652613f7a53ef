"""The dataflow of `mqpipe run`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream
from bytewax.outputs import Sink

from flows.collection import Collection
from operators.derive.operator import derive
from operators.drain import Drain
from operators.fleets import FleetSource
from operators.joint_drain import drain_together
from operators.merge.operator import merge
from operators.merge.settings import FillSettings
from operators.offload import offload
from operators.schema.arrow import only
from operators.schema.events import Listener
from operators.targets import TargetSource
from operators.ticks import TickResult, Ticks

SampleStream = KeyedStream[pa.RecordBatch]


@dataclass(frozen=True)
class Stream:
    """What the dataflow is made of."""

    targets: TargetSource
    fleets: FleetSource
    collection: Collection
    fill: FillSettings | None
    """How gaps are filled; None where they are not."""
    catch_up: int
    """Milliseconds that gaps are filled back."""
    drain: Drain
    sinks: Mapping[str, Sink[tuple[str, pa.RecordBatch]]]
    saw: Callable[[str, pa.RecordBatch], None]
    """Gets every batch on its way to the sinks."""
    listener: Listener
    """Gets what happens in the dataflow."""
    more_to: Sequence[str] = ()
    """The sinks that take what is no row too: data points or events alone."""
    measured: Callable[[TickResult], None] | None = None
    """Gets every collected tick while it has its raw measures."""


def stream(parts: Stream) -> Dataflow:
    """Targets and fleets, merged, to every sink."""
    flow = Dataflow("mqpipe")
    ticks = op.input("targets", flow, parts.targets)
    simulated = op.input("fleets", flow, parts.fleets)
    collected = _collect(ticks, parts)
    derived = derive("derive", collected, parts.collection.rules, parts.measured)
    merged = _merge(ticks, derived, parts)
    samples = _observed(op.merge("samples", merged, simulated), parts)
    rows = op.filter("rows", samples, lambda item: only(item[1]) is None)
    for name, sink in parts.sinks.items():
        op.output(name, samples if name in parts.more_to else rows, sink)
    drain_together("drain", flow, parts.drain)
    return flow


def _collect(ticks: KeyedStream[Ticks], parts: Stream) -> KeyedStream[TickResult]:
    collection = parts.collection
    return offload(
        "collect",
        ticks,
        collection.work,
        collection.pools,
        parts.drain,
        deadline=lambda _: collection.deadline,
        priorities=collection.priorities,
        clusters=collection.plans.keys(),
    )


def _merge(
    ticks: KeyedStream[Ticks], results: KeyedStream[TickResult], parts: Stream
) -> SampleStream:
    return merge(
        "merge",
        ticks,
        results,
        parts.collection.plans,
        parts.fill,
        parts.drain,
        listener=parts.listener,
        catch_up=parts.catch_up,
    )


def _observed(samples: SampleStream, parts: Stream) -> SampleStream:
    def look(item: tuple[str, pa.RecordBatch]) -> tuple[str, pa.RecordBatch]:
        if only(item[1]) is None:
            parts.saw(*item)
        return item

    return op.map("observe", samples, look)
