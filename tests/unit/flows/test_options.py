"""What the text of options means, before anything else is loaded."""

import pytest

from flows.errors import UsageError
from flows.options import (
    SAMPLE_TYPES,
    SCORE_COLUMNS,
    named_columns,
    require_before,
    sample_type,
)
from flows.score.alerts import NAMES
from operators.schema.metrics import ENTITY_TYPES


def test_columns_are_named_by_what_they_hold() -> None:
    """A name may have an equals sign itself."""
    assert named_columns(["entity=host", "time=a=b"]) == {"entity": "host", "time": "a=b"}


@pytest.mark.parametrize("given", ["entity", "entity=", "host=entity"])
def test_wrong_column_options_are_refused(given: str) -> None:
    """What columns hold is listed."""
    with pytest.raises(UsageError, match="entity, time, end, score, cause"):
        named_columns([given])


def test_a_type_that_is_none_is_refused_with_the_nearest() -> None:
    """Without the option all are shown."""
    assert (sample_type("broker"), sample_type(None)) == ("broker", None)
    with pytest.raises(UsageError, match="--type brokers: no such type; did you mean `broker`"):
        sample_type("brokers")


def test_options_know_all_types_and_columns() -> None:
    """They are written there again, for the tables of them load Arrow and Polars."""
    assert tuple(entity_type.label for entity_type in ENTITY_TYPES) == SAMPLE_TYPES
    assert tuple(NAMES) == SCORE_COLUMNS


def test_a_range_ends_after_its_start() -> None:
    """Both options are named, with the moments that they mean."""
    require_before("--start", 0, "--end", 1)
    with pytest.raises(UsageError, match="--from 1970-01-01T00:00:01Z is not before --to 1970-"):
        require_before("--from", 1000, "--to", 1000)
