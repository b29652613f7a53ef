"""From a recorded message to batches of samples, or to the reason why it is none."""

import pyarrow as pa
import pyarrow.compute as pc

from operators.recorded.nri_kafka import batches_of, is_json
from operators.schema.arrow import TIMESTAMP
from operators.schema.ipc import BatchDecodeError, decode


def read_message(
    value: bytes | None, timestamp: int, account_id: int | None, *, events_alone: bool = False
) -> tuple[list[pa.RecordBatch], list[str]]:
    """The batches that a message holds, and what is wrong with it.

    A message is a batch of samples in Arrow's IPC format, or JSON: one of New Relic's events or
    several of them, see `nri_kafka`. `timestamp` (ms) is for those that have none of their own, `events_alone` says
    whether what is an event alone has a taker. Never raises.
    """
    if not value:
        return [], ["the message is empty"]
    if is_json(value):
        return batches_of(value, timestamp, account_id, events_alone=events_alone)
    try:
        return [decode(value)], []
    except BatchDecodeError as error:
        return [], [str(error)]


def within(batch: pa.RecordBatch, start: int, end: int) -> pa.RecordBatch:
    """The samples whose timestamp is in [start, end), in milliseconds."""
    times = batch.column("timestamp")
    bounds = pc.min_max(times)
    first, last = bounds["min"].value, bounds["max"].value
    if first is None or (start <= first and last < end):
        return batch
    inside = pc.and_(
        pc.greater_equal(times, pa.scalar(start, TIMESTAMP)),
        pc.less(times, pa.scalar(end, TIMESTAMP)),
    )
    return batch.filter(inside)
