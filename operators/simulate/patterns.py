"""Patterns: how a fleet's traffic moves with time, as a factor of its level.

A pattern is a pure function of absolute time, so any tick has the same factor wherever a run
began. Each is a model whose fields are its settings and whose words say its formula, which
`curves.py` computes; they compose by `sum`, `product`, `shift` and `clip`.
"""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from operators.schema.settings import Duration, Moment, Settings, at_most

if TYPE_CHECKING:
    from operators.schema.arrays import Floats, Ints

_Factor = Annotated[float, Field(ge=0), at_most(1e6, "a level is multiplied by it")]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a pattern may know of the shard that it shapes."""

    time_zone: str = "UTC"
    holidays: tuple[date, ...] = ()
    key: int = 0
    """Key of the shard's random numbers."""


class TrafficPattern(Settings):
    """What every pattern can do."""

    def at(self, times: "Ints", scene: Scene) -> "Floats":
        """Factors at times in ms since 1970.

        Raises:
            ValueError: a custom function gave another shape, or a factor that is no number >= 0.
        """
        from operators.simulate.curves import factors

        return factors(self, times, scene)


class Constant(TrafficPattern):
    """factor = value."""

    kind: Literal["constant"] = "constant"
    value: _Factor = Field(default=1.0, description="the factor, at all times")


class Random(TrafficPattern):
    """factor = 1 + amplitude · (2u − 1), u uniform, drawn afresh for every second."""

    kind: Literal["random"] = "random"
    amplitude: float = Field(default=0.2, ge=0, le=1, description="largest distance from 1")


class RandomWalk(TrafficPattern):
    """factor = 1 + amplitude · Σ wᵢ(2cᵢ − 1), cᵢ a smooth random curve of period · 4ⁱ, i = 0…3.

    wᵢ is in proportion to 2ⁱ (a walk strays by the root of the time) and sums to 1.
    """

    kind: Literal["random_walk"] = "random_walk"
    amplitude: float = Field(default=0.3, ge=0, le=1, description="largest distance from 1")
    period: Duration = Field(default=3600.0, gt=0, description="time of the quickest turns")


class Sine(TrafficPattern):
    """factor = 1 + amplitude · sin(2π · (t / period + phase)), t since 1970 in UTC."""

    kind: Literal["sine"] = "sine"
    amplitude: float = Field(default=0.5, ge=0, le=1, description="largest distance from 1")
    period: Duration = Field(default=86400.0, gt=0, description="time from crest to crest")
    phase: float = Field(
        default=0.0,
        ge=-1_000_000,
        le=1_000_000,
        description="share of the period by which it is ahead",
    )


class BusinessHours(TrafficPattern):
    """factor by the local hour; weekends and the fleet's holidays have their own.

    Hours: 9–17 `office`, but 10–11 and 14–15 `peak`; 18–22 `evening`; else `night`. During the
    first `ramp` of an hour the factor moves in a straight line from the hour before.
    """

    kind: Literal["business_hours"] = "business_hours"
    office: _Factor = Field(default=1.0, description="factor of the hours 9 to 17")
    peak: _Factor = Field(default=1.3, description="factor of the hours 10, 11, 14 and 15")
    evening: _Factor = Field(default=0.6, description="factor of the hours 18 to 22")
    night: _Factor = Field(default=0.2, description="factor of the hours 23 to 8")
    weekend: _Factor = Field(default=0.3, description="factor of weekends and holidays")
    ramp: Duration = Field(default=1800.0, le=3600, description="how long an hour takes to set in")


class Seasonal(TrafficPattern):
    """factor by the local month."""

    kind: Literal["seasonal"] = "seasonal"
    months: tuple[_Factor, ...] = Field(
        default=(1.0, 1.0, 1.0, 1.0, 1.0, 0.85, 0.85, 0.85, 1.25, 1.4, 1.4, 1.4),
        min_length=12,
        max_length=12,
        description="factors of January to December",
    )


class Growth(TrafficPattern):
    """factor = (1 + rate)^m · (1 + rate · f): m whole months of 30 days since `since`, f the rest.

    Before `since` the factor is 1.
    """

    kind: Literal["growth"] = "growth"
    since: Moment = Field(description="when the growth begins")
    rate: float = Field(default=0.05, gt=-1, le=100, description="growth in 30 days: 0.05 is 5 %")


class Step(TrafficPattern):
    """factor = `factor` from `start` to `end`, else 1."""

    kind: Literal["step"] = "step"
    start: Moment = Field(description="when the step comes")
    end: Moment | None = Field(default=None, description="when it goes; without, it stays")
    factor: _Factor = Field(default=2.0, description="the factor between the two")


class Bursts(TrafficPattern):
    """One burst in every stretch of length `every`, at a random place of it.

    factor = 1 + (factor − 1) · max(0, 1 − |t − middle| / (length / 2)).
    """

    kind: Literal["bursts"] = "bursts"
    every: Duration = Field(default=3600.0, gt=0, description="time that has one burst")
    length: Duration = Field(default=300.0, gt=0, description="length of a burst, at most `every`")
    factor: _Factor = Field(default=3.0, description="factor in the middle of a burst")

    @model_validator(mode="after")
    def _fits(self) -> "Bursts":
        if self.length > self.every:
            raise ValueError("`length` of a burst is at most `every`")
        return self


class Recorded(TrafficPattern):
    """The shape of a recorded metric, looped: factor = value / mean, straight between samples.

    One of a week or longer is looped by whole weeks, one of a day or longer by whole days, its latest:
    so that noon stays noon, and a Sunday a Sunday.
    """

    kind: Literal["recorded"] = "recorded"
    path: str = Field(
        description="CSV or Parquet file, or a directory, such as mqpipe's own samples"
    )
    metric: str = Field(default="topic.messagesInPerSecond", description="the column to follow")
    entity: str | None = Field(
        default=None, description="value of `entity_name`; without, the mean of all"
    )

    @model_validator(mode="after")
    def _readable(self) -> "Recorded":
        from operators.simulate.recording import recording

        recording(self.path, self.metric, self.entity)
        return self


class Sum(TrafficPattern):
    """factor = Σ of the parts."""

    kind: Literal["sum"] = "sum"
    of: tuple["AnyPattern", ...] = Field(min_length=1, description="the parts")


class Product(TrafficPattern):
    """factor = Π of the parts."""

    kind: Literal["product"] = "product"
    of: tuple["AnyPattern", ...] = Field(min_length=1, description="the parts")


class Shift(TrafficPattern):
    """factor(t) = part(t − by): the part, that much later."""

    kind: Literal["shift"] = "shift"
    of: "AnyPattern" = Field(description="the part")
    by: Duration = Field(description="how much later")


class Clip(TrafficPattern):
    """factor = min(high, max(low, part))."""

    kind: Literal["clip"] = "clip"
    of: "AnyPattern" = Field(description="the part")
    low: _Factor = Field(default=0.0, description="least factor")
    high: _Factor | None = Field(default=None, gt=0, description="greatest factor")


class Custom(TrafficPattern):
    """A custom pattern: `kind` is an entry point of `mqpipe.patterns`, or `module:name`.

    It is a function `(times, scene, **options) -> factors`: times a numpy array of ms since
    1970, factors a float array of the same length, not negative. It must be a pure function of
    its arguments.
    """

    kind: str = Field(description="entry point or module:name")
    options: dict[str, Any] = Field(default={}, description="keyword arguments of the function")

    @field_validator("kind")
    @classmethod
    def _is_there(cls, kind: str) -> str:
        from operators import plugins

        plugins.load("pattern", kind, BUILT_IN)
        return kind

    @model_validator(mode="after")
    def _works(self) -> "Custom":
        from operators.simulate.curves import FOUR_DAYS

        try:
            self.at(FOUR_DAYS, Scene())
        except Exception as error:
            raise ValueError(
                f"pattern `{self.kind}` fails: {type(error).__name__}: {error}"
            ) from error
        return self


_MODELS = (
    Constant, Random, RandomWalk, Sine, BusinessHours, Seasonal, Growth, Step, Bursts,
    Recorded, Sum, Product, Shift, Clip,
)  # fmt: skip
BUILT_IN = {str(model.model_fields["kind"].default): model for model in _MODELS}
"""The built-in patterns by name."""


def _named(value: Any, _: ValidationInfo) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _tag(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if isinstance(kind, str) and kind in BUILT_IN else "custom"


AnyPattern = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[Random, Tag("random")]
    | Annotated[RandomWalk, Tag("random_walk")]
    | Annotated[Sine, Tag("sine")]
    | Annotated[BusinessHours, Tag("business_hours")]
    | Annotated[Seasonal, Tag("seasonal")]
    | Annotated[Growth, Tag("growth")]
    | Annotated[Step, Tag("step")]
    | Annotated[Bursts, Tag("bursts")]
    | Annotated[Recorded, Tag("recorded")]
    | Annotated[Sum, Tag("sum")]
    | Annotated[Product, Tag("product")]
    | Annotated[Shift, Tag("shift")]
    | Annotated[Clip, Tag("clip")]
    | Annotated[Custom, Tag("custom")],
    Discriminator(_tag),
    BeforeValidator(_named, json_schema_input_type=str | dict[str, Any]),
]
"""A pattern's name, or a mapping with its `kind` and settings."""
