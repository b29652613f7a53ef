"""The dataflow of `mqpipe run`."""

from collections.abc import Mapping
from dataclasses import dataclass

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.outputs import Sink

from operators.fleets import FleetSource


@dataclass(frozen=True)
class Stream:
    """Everything that the dataflow is made of."""

    fleets: FleetSource
    sinks: Mapping[str, Sink[tuple[str, pa.RecordBatch]]]


def stream(parts: Stream) -> Dataflow:
    """Targets and fleets, merged, to every sink."""
    flow = Dataflow("mqpipe")
    samples = op.input("fleets", flow, parts.fleets)
    for name, sink in parts.sinks.items():
        op.output(name, samples, sink)
    return flow
