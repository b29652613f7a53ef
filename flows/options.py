"""What the text of command-line options means, and those that every command has."""

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from flows.addresses import parse_address
from flows.errors import UsageError
from flows.times import parse_time, show_time, tick_interval
from operators.schema.clock import wall_clock
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
    return parse_time(text, wall_clock())


def require_before(first: str, start: int, last: str, end: int) -> None:
    """Nothing, where the moment of the option `first` (ms) is before that of the option `last`.

    Raises:
        UsageError: it is not.
    """
    if start >= end:
        raise UsageError(f"{first} {show_time(start)} is not before {last} {show_time(end)}")


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


LOG_LEVEL, LOG_FORMAT = "MQPIPE_LOG_LEVEL", "MQPIPE_LOG_FORMAT"
"""Variables of the environment that say the same as the options, which have the last word."""

_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("json", "text")


def _of_logs(metavar: str, variable: str, words: Sequence[str], what: str) -> Any:
    """An option whose word is noted in the environment, where logs look for it."""

    def choose(word: str | None) -> None:
        if word is None:
            return
        if word.lower() not in words:
            raise typer.BadParameter(f"{word!r}: write {', '.join(words[:-1])} or {words[-1]}")
        os.environ[variable] = word.lower()

    option = typer.Option(
        metavar=metavar, envvar=variable, show_envvar=False, callback=choose, help=what
    )
    return Annotated[str | None, option]


def with_logs(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of logs, which all have, before its name and after it."""
    options = {
        "log_level": _of_logs(
            "LEVEL", LOG_LEVEL, _LEVELS, "Of the log: debug, info, warning or error."
        ),
        "log_format": _of_logs(
            "FORMAT", LOG_FORMAT, _FORMATS, "Of the log: json, or text for people."
        ),
    }

    @wraps(command)
    def inner(*arguments: Any, **more: Any) -> None:
        # What they say was noted as they were read.
        command(*arguments, **{name: more[name] for name in more.keys() - options.keys()})

    own = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in options.items()
    ]
    inner.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), *added]
    )
    inner.__annotations__ = {**command.__annotations__, **options}
    return inner


class Command(TyperCommand):
    """A command that is listed with its whole first sentence: it wraps, and is not cut."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence."""
        return super().get_short_help_str(max(limit, 10_000))


def servers_of(text: str) -> str | None:
    """The text where it is `host:port`, with commas between several, and no file's name."""
    if Path(text).exists():
        return None
    try:
        for address in text.split(","):
            parse_address(address.strip())
    except ValueError:
        return None
    return text


def bootstrap_servers(text: str) -> str:
    """Addresses of brokers as they stand: `host:port`, with commas between."""
    for address in text.split(","):
        parse_address(address.strip())
    return text


SCORE_COLUMNS = ("entity", "time", "end", "score", "cause")
"""What columns of alerts and scores hold, as `--column` says it."""


def named_columns(given: Iterable[str]) -> dict[str, str]:
    """`--column entity=host` as a mapping.

    Raises:
        UsageError: one is of another form, or names nothing that a file may hold.
    """
    columns = {}
    for one in given:
        what, equals, name = one.partition("=")
        if not equals or not name or what not in SCORE_COLUMNS:
            raise UsageError(
                f"--column {one}: write what it holds and its name, such as entity=host; what it "
                f"may hold: {', '.join(SCORE_COLUMNS)}"
            )
        columns[what] = name
    return columns


SAMPLE_TYPES = (
    "cluster", "broker", "topic", "consumer_group", "group_topic", "partition_offset",
    "collection", "probe", "queue", "node",
)  # fmt: skip
"""Labels of the entity types that have samples, as `--type` says them."""


def sample_type(label: str | None) -> str | None:
    """The label of an entity type.

    Raises:
        UsageError: there is no such type.
    """
    if label is not None and label not in SAMPLE_TYPES:
        from operators.schema.nearest import suggestion

        raise UsageError(f"--type {label}: no such type; {suggestion(label, SAMPLE_TYPES)}")
    return label
