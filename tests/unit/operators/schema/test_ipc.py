"""Batches as bytes: what is encoded is decoded, other versions are fitted, garbage is refused."""

import pickle

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.arrow import (
    ENTITY_TYPE_KEY,
    SCHEMA_VERSION,
    SCHEMA_VERSION_KEY,
    entity_type_of,
    sample_batch,
    schema_of,
)
from operators.schema.ipc import (
    BatchDecodeError,
    Compression,
    decode,
    decode_all,
    encode,
    encode_all,
)
from operators.schema.metrics import BROKER, ENTITY_TYPES, TOPIC, EntityType
from tests.samples import INTERVAL, NEW_YEAR


def topics(rows: int = 3) -> pa.RecordBatch:
    return sample_batch(
        TOPIC,
        rows,
        {
            "timestamp": [NEW_YEAR + n * INTERVAL for n in range(rows)],
            "entity_guid": [f"guid-{n}" for n in range(rows)],
            "entity_name": [f"prod/orders-{n}" for n in range(rows)],
            "topic": [f"orders-{n}" for n in range(rows)],
            "cluster_name": "prod",
            "topic.partitionCount": list(range(rows)),
            "topic.errorRate": [n / 7 for n in range(rows)],
        },
    )


def with_metadata(batch: pa.RecordBatch, **changes: bytes) -> pa.RecordBatch:
    keys = {"type": ENTITY_TYPE_KEY, "version": SCHEMA_VERSION_KEY}
    metadata = dict(batch.schema.metadata) | {keys[k]: v for k, v in changes.items()}
    return batch.replace_schema_metadata(metadata)


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("entity_type", ENTITY_TYPES, ids=lambda t: t.label)
def test_a_batch_comes_back_as_it_was(
    entity_type: EntityType, compression: Compression | None
) -> None:
    """Every entity type, with its schema and metadata, with nulls and values."""
    columns = {"timestamp": [1, 2], "entity_guid": ["a", "b"], "origin": "simulated"}
    batch = sample_batch(entity_type, 2, columns)
    decoded = decode(encode(batch, compression))
    assert decoded.equals(batch)
    assert decoded.schema.equals(schema_of(entity_type), check_metadata=True)


def test_an_empty_batch_comes_back() -> None:
    """No rows are no error."""
    assert decode(encode(topics(0))).num_rows == 0


def test_a_slice_is_encoded_without_the_rest() -> None:
    """A few rows of a large batch make a small message."""
    batch = topics(50_000)
    assert len(encode(batch.slice(10, 5))) < len(encode(batch)) / 20
    assert decode(encode(batch.slice(10, 5))).to_pylist() == batch.slice(10, 5).to_pylist()


@given(st.lists(st.tuples(st.sampled_from([TOPIC, BROKER]), st.integers(0, 3))), st.integers(1, 9))
def test_small_batches_come_back_together(
    batches: list[tuple[EntityType, int]], together: int
) -> None:
    """Each type's rows in their order, in batches that hold no more than they have to."""
    written: list[pa.RecordBatch] = []
    for number, (entity_type, rows) in enumerate(batches):
        guids = [f"{number}-{row}" for row in range(rows)]
        columns = {"timestamp": [number] * rows, "entity_guid": guids}
        written.append(sample_batch(entity_type, rows, columns))
    decoded = list(decode_all(map(encode, written), together))
    for entity_type in (TOPIC, BROKER):
        mine = [batch for batch in decoded if entity_type_of(batch) is entity_type]
        guids = [guid for batch in mine for guid in batch.column("entity_guid").to_pylist()]
        same = [batch for batch in written if entity_type_of(batch) is entity_type]
        assert guids == [g for batch in same for g in batch.column("entity_guid").to_pylist()]
        assert len(mine) <= len(guids) // together + 1


@given(st.lists(st.lists(st.text(max_size=3), max_size=4), min_size=1, max_size=4))
def test_batches_in_one_stream_come_back_as_one(names: list[list[str]]) -> None:
    """With all rows in their order, whatever strings each batch has."""
    written = [
        sample_batch(TOPIC, len(guids), {"timestamp": [n] * len(guids), "entity_guid": guids})
        for n, guids in enumerate(names)
    ]
    data = encode_all(written)
    rows = [row for batch in written for row in batch.to_pylist()]
    assert decode(data).to_pylist() == rows
    assert [row for batch in decode_all([data, data]) for row in batch.to_pylist()] == rows + rows


def test_batches_of_other_versions_come_back_together() -> None:
    """Each fitted; what an older one lacks is null in its rows only."""
    older = topics().drop_columns(["topic.errorRate"])
    decoded = list(decode_all([encode(older), encode(topics()), encode(older)]))
    assert [batch.column("topic.errorRate").null_count for batch in decoded] == [3, 0, 3]
    assert all(batch.schema.equals(schema_of(TOPIC)) for batch in decoded)


def test_what_is_no_batch_among_others_is_refused() -> None:
    """As if it was by itself."""
    with pytest.raises(BatchDecodeError, match="not a batch of samples"):
        list(decode_all([encode(topics()), b"garbage"]))


def test_an_older_batch_with_fewer_columns_is_filled_with_nulls() -> None:
    """A metric that was added since is null in what was recorded before."""
    batch = topics()
    older = batch.drop_columns(["topic.errorRate", "topic.diskSize"])
    decoded = decode(encode(older))
    assert decoded.schema.equals(schema_of(TOPIC), check_metadata=True)
    assert decoded.column("topic.errorRate").null_count == 3
    assert decoded.column("topic").equals(batch.column("topic"))


def test_a_newer_batch_with_more_columns_loses_only_those() -> None:
    """A metric that this version does not know is left out."""
    batch = topics()
    newer = batch.append_column("topic.shinyNew", pa.array([1.0, 2.0, 3.0]))
    assert decode(encode(newer)).equals(batch)


def test_columns_in_another_order_or_type_are_fitted() -> None:
    """Plain strings, 32-bit numbers and seconds become what the schema says."""
    batch = topics()
    table = pa.table(
        {
            "topic.partitionCount": pa.array([0, 1, 2], pa.int32()),
            "entity_guid": batch.column("entity_guid").cast(pa.string()),
            "timestamp": batch.column("timestamp").cast(pa.timestamp("ns", tz="UTC")),
        },
        metadata=batch.schema.metadata,
    )
    decoded = decode(encode(table.to_batches()[0]))
    for name in table.column_names:
        assert decoded.column(name).to_pylist() == batch.column(name).to_pylist()


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (with_metadata(topics(), type=b"MESSAGE_QUEUE_COMET"), "no entity type `MESSAGE_QUEUE_C"),
        (topics().replace_schema_metadata(None), "no entity type ``"),
        (with_metadata(topics(), version=b"99"), f"reads up to {SCHEMA_VERSION}: update mqpipe"),
        (with_metadata(topics(), version=b"\xff"), "schema version"),
        (topics().drop_columns(["timestamp"]), "no column `timestamp`"),
        (topics().drop_columns(["entity_guid"]), "no column `entity_guid`"),
        (sample_batch(BROKER, 2, {"entity_guid": ["a", "b"]}), "a timestamp is null"),
        (sample_batch(BROKER, 1, {"timestamp": [-1]}), "before 1970"),
        (sample_batch(BROKER, 1, {"timestamp": [10**17]}), "after 9999"),
        (
            topics().set_column(0, "timestamp", pa.array([1.5, 2.5, 3.5])),
            "column `timestamp` is double",
        ),
        (
            topics().set_column(
                topics().schema.get_field_index("topic.partitionCount"),
                "topic.partitionCount",
                pa.array([0.5, 1.0, 2.0]),
            ),
            "truncated",
        ),
    ],
)
def test_a_batch_that_is_not_of_the_table_is_refused(batch: pa.RecordBatch, reason: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(BatchDecodeError, match=reason):
        decode(encode(batch))


def test_a_stream_without_a_batch_is_refused() -> None:
    """A schema alone is no message of ours."""
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, schema_of(TOPIC)).close()
    with pytest.raises(BatchDecodeError, match="holds no batch"):
        decode(sink.getvalue().to_pybytes())


def test_the_error_keeps_its_reason_when_pickled() -> None:
    """Bytewax carries errors between processes."""
    error = pickle.loads(pickle.dumps(BatchDecodeError("because")))
    assert error.reason == "because"
    assert str(error) == "not a batch of samples: because"


def decodes_or_refuses(data: bytes) -> None:
    try:
        batch = decode(data)
    except BatchDecodeError:
        return
    assert batch.schema.equals(schema_of(entity_type_of(batch)), check_metadata=True)
    batch.to_pylist()


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    """Nothing but the one error comes of them."""
    with pytest.raises(BatchDecodeError):
        decode(data)


@given(
    st.sampled_from([encode(topics(), c) for c in (None, "lz4", "zstd")]),
    st.lists(st.integers(0, 2**20), max_size=4),
    st.integers(0, 2**20) | st.none(),
)
@settings(max_examples=400)
def test_damaged_bytes_are_decoded_or_refused(
    encoded: bytes, flips: list[int], cut: int | None
) -> None:
    """Bit flips and truncation never crash, and never raise but the one error."""
    damaged = bytearray(encoded if cut is None else encoded[: cut % len(encoded)])
    for flip in flips:
        if damaged:
            damaged[flip // 8 % len(damaged)] ^= 1 << flip % 8
    decodes_or_refuses(bytes(damaged))
