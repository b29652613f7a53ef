"""Pages of RabbitMQ's Prometheus plugin, as several versions of it write them."""

import pytest

from operators.rabbitmq.detailed import (
    ACKNOWLEDGED,
    PUBLISHED,
    dead_lettered,
    has_series_by_queue,
    parse_page,
)


def page(*lines: str) -> str:
    """A page with these lines after a comment."""
    return "\n".join(["# TYPE of some", *lines, "# EOF"]) + "\n"


OF_CHANNELS = page(
    'rabbitmq_detailed_queue_messages_published_total{channel="<0.1.0>",queue_vhost="/",queue="orders",'
    'exchange_vhost="/",exchange=""} 7',
    'rabbitmq_detailed_queue_messages_published_total{channel="<0.2.0>",queue_vhost="/",queue="orders",'
    'exchange_vhost="/",exchange="amq.direct"} 5',
)
"""As RabbitMQ 3.10 writes it."""

OF_QUEUES = page(
    'rabbitmq_detailed_queue_exchange_messages_published_total{vhost="/",exchange="",queue="orders"} 9',
    'rabbitmq_detailed_queue_exchange_messages_published_total{vhost="/",exchange="amq.direct",queue="orders"} 4',
    'rabbitmq_detailed_queue_exchange_messages_published_total{vhost="eu/west",exchange="",queue="orders"} 2',
)
"""As RabbitMQ 4 writes it, with the exchange before the queue."""


def test_what_channels_published_is_kept_by_channel() -> None:
    """A channel's counters are summed over exchanges."""
    counters = parse_page(OF_CHANNELS).counters
    orders = ("/", "orders")
    assert counters == {
        ("<0.1.0>", orders, PUBLISHED): 7,
        ("<0.2.0>", orders, PUBLISHED): 5,
    }


def test_queues_that_count_themselves_are_reported_whatever_stands_between() -> None:
    """Their own counters take the place of their channels'."""
    acknowledged = page(
        'rabbitmq_detailed_channel_messages_acked_total{channel="<0.1.0>",vhost="/",queue="orders"} 3'
    )
    counters = parse_page(OF_QUEUES + OF_CHANNELS + acknowledged).counters
    assert counters == {
        ("", ("/", "orders"), PUBLISHED): 13,
        ("", ("eu/west", "orders"), PUBLISHED): 2,
        ("<0.1.0>", ("/", "orders"), ACKNOWLEDGED): 3,
    }


def dead(reason: str, strategy: str, count: int, kind: str = "quorum") -> str:
    """A line of `/metrics`."""
    labels = f'queue_type="rabbit_{kind}_queue",dead_letter_strategy="{strategy}"'
    return f"rabbitmq_global_messages_dead_lettered_{reason}_total{{{labels}}} {count}"


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        (
            [
                dead("rejected", "at_most_once", 5, "classic"),
                dead("expired", "at_least_once", 7),
                dead("maxlen", "at_most_once", 11),
                dead("delivery_limit", "at_most_once", 1),
            ],
            24,
        ),
        ([dead("rejected", "at_most_once", 0)], 0),
        # Without an exchange for them they are dropped; those that arrived are counted once more.
        (
            [
                dead("expired", "at_most_once", 2),
                dead("expired", "disabled", 99),
                dead("confirmed", "at_least_once", 50),
            ],
            2,
        ),
        (["rabbitmq_queues 3"], None),
    ],
)
def test_dead_letters_are_those_that_an_exchange_was_given(
    lines: list[str], count: int | None
) -> None:
    """Of all reasons and types; None where RabbitMQ is too old to count any."""
    assert dead_lettered(page(*lines)) == count


def test_a_page_by_object_is_known() -> None:
    """By its series of queues."""
    assert has_series_by_queue(page('rabbitmq_queue_messages{vhost="/",queue="a"} 1'))
    assert not has_series_by_queue(page("rabbitmq_queue_messages 1"))
