"""What JetStream's streams and consumers are called."""

import pytest

from operators.schema.nats import parts_at, path_of


def test_paths_have_the_account_before_the_stream_but_for_the_default() -> None:
    """What would be taken for another path is encoded."""
    assert path_of("$G", "ORDERS") == ("ORDERS",)
    assert path_of("$G", "ORDERS", "billing") == ("ORDERS", "billing")
    assert path_of("SHOP", "ORDERS", "billing") == ("SHOP.ORDERS", "billing")
    assert path_of("A/B", "C:D", "50%") == ("A%2FB.C%3AD", "50%25")


def test_a_written_path_is_a_streams_or_a_consumers() -> None:
    """As `expect.queues` has it."""
    assert parts_at("ORDERS") == ("ORDERS",)
    assert parts_at("SHOP.ORDERS/billing") == ("SHOP.ORDERS", "billing")


@pytest.mark.parametrize("path", ["", "/", "ORDERS/", "/billing", "SHOP/ORDERS/billing"])
def test_another_is_refused(path: str) -> None:
    """It is said how to write it."""
    with pytest.raises(ValueError, match="write `STREAM`, or `STREAM/consumer`"):
        parts_at(path)
