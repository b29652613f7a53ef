"""The Bytewax step that reads a recorded stream."""

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream

from operators.recorded.source import RecordedSource
from operators.schema.unreadable import UnreadableMessage


def recorded(
    step_id: str, flow: Dataflow, source: RecordedSource
) -> tuple[KeyedStream[pa.RecordBatch], KeyedStream[UnreadableMessage]]:
    """The recorded samples, and beside them the messages that could not be read."""
    items = op.input(step_id, flow, source)
    kinds = op.branch(f"{step_id}_readable", items, _is_readable)
    return kinds.trues, kinds.falses


def _is_readable(item: tuple[str, pa.RecordBatch | UnreadableMessage]) -> bool:
    return isinstance(item[1], pa.RecordBatch)
