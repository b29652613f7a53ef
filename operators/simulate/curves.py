"""The formulas of patterns: their factors at times, as `patterns.py` has them in words."""

from datetime import datetime
from functools import singledispatch

import numpy as np

from operators import plugins
from operators.schema.arrays import Floats, Ints
from operators.simulate import patterns
from operators.simulate.local_time import DAY, HOUR, day_number, month, to_local, weekday
from operators.simulate.noise import hashed, key_of, smooth
from operators.simulate.patterns import Scene
from operators.simulate.recording import recording

FOUR_DAYS: Ints = np.arange(4, dtype=np.int64) * DAY
"""Times that a custom pattern is tried with."""


@singledispatch
def factors(pattern: patterns.TrafficPattern, times: Ints, scene: Scene) -> Floats:
    """Factors of a pattern at times in ms since 1970."""
    raise NotImplementedError(pattern)


@factors.register
def _(pattern: patterns.Constant, times: Ints, _: Scene) -> Floats:
    return np.full(len(times), pattern.value)


@factors.register
def _(pattern: patterns.Random, times: Ints, scene: Scene) -> Floats:
    uniform = hashed(key_of(scene.key, "random"), times // 1000)
    return 1 + pattern.amplitude * (2 * uniform - 1)


@factors.register
def _(pattern: patterns.RandomWalk, times: Ints, scene: Scene) -> Floats:
    total = np.zeros(len(times))
    for i in range(4):
        key = key_of(scene.key, "random_walk", i)
        curve = smooth(key, times, round(pattern.period * 1000) * 4**i)
        total += 2**i / 15 * (2 * curve - 1)
    return 1 + pattern.amplitude * total


@factors.register
def _(pattern: patterns.Sine, times: Ints, _: Scene) -> Floats:
    period = round(pattern.period * 1000)
    return 1 + pattern.amplitude * _sine(times % period / period + pattern.phase)


def _sine(turns: Floats) -> Floats:
    """sin(2π · turns) by its power series, to within 1e-7, the same on every machine."""
    turns = turns - np.rint(turns)
    x = 2 * np.pi * np.where(np.abs(turns) > 0.25, np.sign(turns) * 0.5 - turns, turns)
    square, term, total = x * x, x, x
    for n in (2, 4, 6, 8, 10):
        term = term * square / (-n * (n + 1))
        total = total + term
    return total


@factors.register
def _(pattern: patterns.BusinessHours, times: Ints, scene: Scene) -> Floats:
    local = to_local(times, scene.time_zone)
    hour, rest = np.divmod(local, HOUR)
    before, now = _by_hour(pattern, hour - 1, scene), _by_hour(pattern, hour, scene)
    ramp = round(pattern.ramp * 1000)
    return now if not ramp else before + (now - before) * np.minimum(rest / ramp, 1.0)


def _by_hour(pattern: patterns.BusinessHours, hours: Ints, scene: Scene) -> Floats:
    table = np.full(24, pattern.night)
    table[9:18], table[18:23] = pattern.office, pattern.evening
    table[[10, 11, 14, 15]] = pattern.peak
    days, hour = np.divmod(hours, 24)
    free = (weekday(days) >= 5) | np.isin(days, [day_number(d) for d in scene.holidays])
    return np.where(free, pattern.weekend, table[hour])


@factors.register
def _(pattern: patterns.Seasonal, times: Ints, scene: Scene) -> Floats:
    return np.array(pattern.months)[month(to_local(times, scene.time_zone))]


@factors.register
def _(pattern: patterns.Growth, times: Ints, _: Scene) -> Floats:
    whole, rest = np.divmod(np.maximum(times - _millis(pattern.since), 0), 30 * DAY)
    with np.errstate(over="ignore"):  # what no level can be is held to what it can be later
        powers = np.cumprod(np.full(int(whole.max(initial=0)) + 1, 1 + pattern.rate))
    return powers[whole] / (1 + pattern.rate) * (1 + pattern.rate * (rest / (30 * DAY)))


@factors.register
def _(pattern: patterns.Step, times: Ints, _: Scene) -> Floats:
    inside = times >= _millis(pattern.start)
    if pattern.end is not None:
        inside &= times < _millis(pattern.end)
    return np.where(inside, pattern.factor, 1.0)


@factors.register
def _(pattern: patterns.Bursts, times: Ints, scene: Scene) -> Floats:
    every, half = round(pattern.every * 1000), pattern.length * 500
    index, rest = np.divmod(times, every)
    middle = half + hashed(key_of(scene.key, "bursts"), index) * (every - 2 * half)
    return 1 + (pattern.factor - 1) * np.maximum(0.0, 1 - np.abs(rest - middle) / half)


@factors.register
def _(pattern: patterns.Recorded, times: Ints, _: Scene) -> Floats:
    moments, shape = recording(pattern.path, pattern.metric, pattern.entity)
    length = moments[-1] - moments[0]
    place = (times - moments[0]) % length + moments[0]
    return np.asarray(np.interp(place, moments, shape), np.float64)


@factors.register
def _(pattern: patterns.Sum, times: Ints, scene: Scene) -> Floats:
    total = pattern.of[0].at(times, scene)
    for part in pattern.of[1:]:
        total = total + part.at(times, scene)
    return total


@factors.register
def _(pattern: patterns.Product, times: Ints, scene: Scene) -> Floats:
    total = pattern.of[0].at(times, scene)
    for part in pattern.of[1:]:
        total = total * part.at(times, scene)
    return total


@factors.register
def _(pattern: patterns.Shift, times: Ints, scene: Scene) -> Floats:
    return pattern.of.at(times - round(pattern.by * 1000), scene)


@factors.register
def _(pattern: patterns.Clip, times: Ints, scene: Scene) -> Floats:
    return np.clip(pattern.of.at(times, scene), pattern.low, pattern.high)


@factors.register
def _(pattern: patterns.Custom, times: Ints, scene: Scene) -> Floats:
    function = plugins.load("pattern", pattern.kind, patterns.BUILT_IN)
    made = np.asarray(function(times, scene, **pattern.options), np.float64)
    if made.shape != times.shape or not np.all(np.isfinite(made) & (made >= 0)):
        raise ValueError(f"it must give {len(times)} finite factors >= 0, got {made!r}")
    return made


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
