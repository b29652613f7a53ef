"""The metric table and what is made from it."""

import pickle

import pyarrow as pa
import pytest

from operators.schema.arrow import COMMON, entity_type_of, sample_batch, schema_of
from operators.schema.guid import entity_guid
from operators.schema.metrics import BROKER, ENTITY_TYPES, QUEUE, EntityType


@pytest.mark.parametrize("entity_type", ENTITY_TYPES, ids=lambda t: t.label)
def test_schema_has_common_columns_then_identity_then_metrics(entity_type: EntityType) -> None:
    """Every column has its place, and no name occurs twice."""
    names = schema_of(entity_type).names
    assert names == [
        *(name for name, _, _ in COMMON),
        *(i.column for i in entity_type.identity),
        *(m.name for m in entity_type.metrics),
    ]
    assert len(set(names)) == len(names)
    assert "type" not in names


def test_batch_knows_its_entity_type_over_pickling() -> None:
    """The entity type travels with the schema, between processes too."""
    batch = sample_batch(BROKER, 2, {"timestamp": [0, 1], "broker_id": [1, 2]})
    assert entity_type_of(pickle.loads(pickle.dumps(batch))) is BROKER


def test_what_was_not_measured_is_null() -> None:
    """A column that is not given is null, never 0."""
    batch = sample_batch(QUEUE, 1, {"timestamp": [0], "queue.depth": [5]})
    assert batch["queue.processingTime"].to_pylist() == [None]
    assert batch["late"].to_pylist() == [False]
    assert batch.schema == schema_of(QUEUE)


def test_unknown_column_is_refused() -> None:
    """A metric that is not in the table cannot slip in."""
    with pytest.raises(KeyError, match=r"broker\.nope"):
        sample_batch(BROKER, 1, {"timestamp": [0], "broker.nope": [1.0]})


def test_batch_of_another_schema_is_refused() -> None:
    """What names no entity type is not a sample."""
    with pytest.raises(ValueError, match="no entity type"):
        entity_type_of(pa.schema([("a", pa.int64())]))


def test_guid_recipe() -> None:
    """Account, domain, type and the first 32 hex digits of the path's sha256."""
    # printf kafka:prod-eu:broker-1 | sha256sum
    assert entity_guid(7, "MESSAGE_QUEUE_BROKER", "kafka", "prod-eu", "broker-1") == (
        "7|INFRA|MESSAGE_QUEUE_BROKER|391c57d340b6eb250ce29f34e6a291cf"
    )
    assert entity_guid(None, "MESSAGE_QUEUE_CLUSTER", "kafka", "c").startswith("0|INFRA|")
