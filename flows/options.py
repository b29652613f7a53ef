"""What the text of command-line options means."""

import time
from collections.abc import Callable
from typing import TypeVar

import typer

from flows.addresses import parse_address
from flows.times import parse_time, tick_interval
from operators.schema.units import parse_duration

T = TypeVar("T")


def parsed(option: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    """What `parse` makes of an option's text; None where the option is not given.

    Raises:
        typer.BadParameter: it raised a ValueError; the message names the option.
    """
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=f"'{option}'") from None


def moment(text: str) -> int:
    """A moment in milliseconds since the epoch; a relative one is from now on."""
    return parse_time(text, time.time_ns() // 1_000_000)


def some_time(text: str) -> float:
    """A duration in seconds that is more than 0."""
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError("must be more than nothing")
    return seconds


def interval_of(text: str) -> float:
    """Seconds between two ticks."""
    return tick_interval(parse_duration(text))


def addresses_of(text: str) -> tuple[str, ...]:
    """The addresses of a cluster's processes: `host:port`, with commas between."""
    addresses = tuple(address.strip() for address in text.split(","))
    for address in addresses:
        parse_address(address)
        if addresses.count(address) > 1:
            raise ValueError(f"`{address}` is there twice: each process has its own")
    return addresses
