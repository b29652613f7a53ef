"""What settings are made of: a strict base class, durations and sizes.

Each package declares its own settings beside what uses them; `flows.config` puts them together.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from operators.schema.secrets import shown
from operators.schema.units import parse_duration, parse_size


def _moment(value: Any) -> Any:
    """A time without a zone is UTC, as on the command line."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            message = f"not a time: {shown(value)}; write ISO 8601 (2026-01-31T10:00:00Z)"
            raise ValueError(message) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A point in time in ISO 8601; UTC where no offset stands."""

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where something stands in a configuration: names of keys, and places in lists."""

Misfit: TypeAlias = tuple[KeyPath, str]
"""Where something does not fit the rest, and why."""


class Settings(BaseModel):
    """A part of the configuration: frozen, and strict about unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        defer_build=True,
    )


def part(description: str, **given: Any) -> Any:
    """A field that is settings itself; left out, it is what is `given` and defaults.

    The default is no instance: that would have Pydantic prepare each class by itself, and those
    that hold it again, which takes half of a start.
    """
    return Field(default=given, description=description)


class MisfitError(ValueError):
    """Settings that are right by themselves do not fit together: a name leads nowhere, and so on.

    The places of `misfits` are below the settings that raise this.
    """

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        super().__init__(misfits)
        self.misfits = tuple(misfits)

    def __str__(self) -> str:
        return "; ".join(message for _, message in self.misfits)


def require_distinct(names: Iterable[object]) -> None:
    """Nothing, where each name is there once.

    Raises:
        ValueError: some are not.
    """
    twice = sorted(str(name) for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")


def _with_one_password(settings: Any) -> Any:
    if (settings.password is None) == (settings.password_file is None):
        raise ValueError("give exactly one of password and password_file")
    return settings


one_password: Any = model_validator(mode="after")(_with_one_password)
"""Validates settings with a `password` and a `password_file`: one of the two is given."""


def _each_once(names: tuple[Any, ...]) -> tuple[Any, ...]:
    require_distinct(names)
    return names


EachOnce = AfterValidator(_each_once)
"""Of a tuple of which none may stand there twice."""


def at_most(limit: float, reason: str) -> AfterValidator:
    """A bound of a number for Annotated, with the reason in its message; `limit` is still right."""

    def within(value: Any) -> Any:
        if isinstance(value, int | float) and value > limit:
            raise ValueError(f"is {shown(value)}, and at most {limit:,} is possible: {reason}")
        return value

    return AfterValidator(within)


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str | float)]
"""A duration in seconds, written `30s`, `10m`, `24h`."""

BrokerId = Annotated[int, Field(ge=0), at_most(2**31 - 1, "Kafka's ids have 31 bits")]
"""The id of a Kafka broker."""

ByteSize = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str | int)]
"""A size in bytes, written `512MiB`, `2GiB`."""
