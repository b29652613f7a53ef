"""What is measured of queues but is no column: read by the collection, used by the derivation."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

NAME = pa.dictionary(pa.int32(), pa.string())

QUEUE_KEYS = ("vhost", "queue")
KEYS = ("node", "channel", *QUEUE_KEYS, "counter")

TALLIES = pa.schema([*((key, NAME) for key in KEYS), ("value", pa.int64())])
"""`tallies`: one row a counter of a queue, and of a channel where channels count (else `""`)."""

READ = pa.schema([("node", NAME), ("at", pa.int64())])
"""`read`: one row a place that was read, and when (ms). A node has the counters of its clients' channels;
the API (`""`) has those of all."""

PRESENT = pa.schema([(key, NAME) for key in QUEUE_KEYS])
"""`present`: the queues that there are. `used`: those of which there were ever counters."""

DEAD_LETTERS = pa.schema([("node", NAME), ("at", pa.int64()), ("value", pa.int64())])
"""`dead_letters`: one row a node that runs, and what its queues dead-lettered since it started: null where
that is not known."""

Counters = Mapping[tuple[str, tuple[str, str], str], int]
"""Values by channel, queue and counter."""


def tallies_batch(by_node: Mapping[str, Counters]) -> pa.RecordBatch:
    """Raw counters; shape: TALLIES."""
    rows = [
        (node, channel, *queue, counter, value)
        for node, counters in by_node.items()
        for (channel, queue, counter), value in counters.items()
    ]
    return _batch(rows, TALLIES)


def read_batch(at: Mapping[str, int]) -> pa.RecordBatch:
    """When what was read; shape: READ."""
    return _batch(at.items(), READ)


def present_batch(queues: Iterable[tuple[str, str]]) -> pa.RecordBatch:
    """Which queues there are; shape: PRESENT."""
    return _batch(queues, PRESENT)


def dead_letters_batch(by_node: Mapping[str, tuple[int, int | None]]) -> pa.RecordBatch:
    """When (ms), and what nodes counted; shape: DEAD_LETTERS."""
    return _batch([(node, *counted) for node, counted in by_node.items()], DEAD_LETTERS)


def _batch(rows: Iterable[Sequence[object]], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [
        pa.array(column, pa.string()).dictionary_encode().cast(NAME)
        if field.type == NAME
        else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
