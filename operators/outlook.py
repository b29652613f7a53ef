"""Whether what is not yet read will be lost, and when it will have been read.

The same arithmetic for collected and for simulated groups; docs/data-loss.md says it in words.
"""

from dataclasses import dataclass

import numpy as np

from operators.health import STANDS_STILL, stands_still
from operators.schema.arrays import Floats, Ints

KEEPS_UP = STANDS_STILL
"""Seconds: a group whose oldest message is younger keeps up."""

SMOOTHED = 120.0
"""Seconds over which rates are smoothed: commits come in lumps."""

CLOSE = 2
"""So many ticks before its first unread message may go, nothing is trusted to be read in time."""

NOT_KNOWN = -1
STATES = ("keeping up", "catching up", "behind", "stalled", "losing")
"""The better, the earlier: of several parts the last counts."""
KEEPING_UP, CATCHING_UP, BEHIND, STALLED, LOSING = range(len(STATES))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where groups stand in what they read; arrays of one shape, NaN where something is not known."""

    lag: Floats
    """Messages between the commit and the end."""
    retained: Floats
    """Messages that the log holds."""
    age: Floats
    """Seconds that the first unread message waits."""
    consumed: Floats
    """Messages/s since the reading before."""
    pace: Floats
    """The same, smoothed."""
    produced: Floats
    """Messages/s that come, smoothed."""
    lost: Floats
    """Messages that were removed unread since the reading before."""
    retention: Floats
    """Seconds that messages are kept; inf for ever."""
    room: Floats
    """Messages that are kept at most; inf without a limit."""
    interval: float
    """Seconds between two readings."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What follows; arrays of the standing's shape."""

    unread: Floats
    """Messages of the lag that still exist."""
    of_messages: Floats
    """The lag's share of the retained messages, in percent."""
    of_time: Floats
    """The first unread message's age as a share of the retention time, in percent; NaN without one."""
    margin: Floats
    """Seconds until the first unread message may be removed; inf for never, NaN for not known."""
    catch_up: Floats
    """Seconds until nothing waits; inf for never, NaN for not known."""
    state: Ints
    """Place in STATES, or NOT_KNOWN."""


def outlook(at: Standing) -> Outlook:
    """What follows of where groups stand.

    The first unread message goes when it is older than the retention, or when more than `room`
    messages came after it. What is read moves it on: at c messages/s, of which the lag has
    d = lag / age in a second, it gets older by 1 − c / d seconds in a second. So

    margin = min((retention − age) / (1 − c / d), (room − lag) / (produced − c)),

    each without end where its divisor is 0 or less, and c the lesser of the last rate and the smoothed
    one. A group that keeps up and reads has no end in sight. Within CLOSE ticks of the end nothing is
    trusted to be read: c is 0. The margin is 0 where messages before the log's start are unread, for
    then whatever goes next is unread too.

    catch up = lag / (pace − produced).
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        unread = np.minimum(at.lag, at.retained)
        gone = at.lag > at.retained
        waits = at.lag > 0
        reads = _or_nothing(np.fmin(at.consumed, at.pace))
        slack = at.retention - at.age
        trusted = slack > CLOSE * at.interval
        ageing = np.where(trusted, 1 - _or_nothing(reads * at.age / at.lag), 1.0)
        by_time = np.where(ageing > 0, slack / ageing, np.inf)
        rest = at.room - at.lag
        grows = at.produced - reads
        grows = np.where(rest > CLOSE * at.interval * at.produced, grows, at.produced)
        by_size = np.where(grows > 0, rest / grows, np.inf)
        by_size[~np.isfinite(at.room)] = np.inf
        margin = np.maximum(np.fmin(by_time, by_size), 0.0)
        margin[np.isnan(by_time)] = np.where(np.isfinite(by_size), by_size, np.nan)[
            np.isnan(by_time)
        ]
        # Of a few messages the rates say nothing.
        margin[(at.age < KEEPS_UP) & (at.consumed > 0) & trusted] = np.inf
        margin[gone] = 0.0
        margin[~waits] = np.inf
        of_messages = np.where(at.retained > 0, 100 * (unread / at.retained), 0.0)
        of_messages[gone] = 100.0
        of_time = np.where(
            np.isfinite(at.retention), 100 * at.age / np.maximum(at.retention, 1e-3), np.nan
        )
        of_time = np.where(gone & np.isfinite(at.retention), 100.0, np.minimum(of_time, 100.0))
        closes = at.pace - at.produced
        catch_up = np.where(closes > 0, at.lag / closes, np.inf)
        catch_up[np.isnan(closes)] = np.nan
    state = np.where(np.isnan(closes), NOT_KNOWN, np.where(closes > 0, CATCHING_UP, BEHIND)).astype(
        np.int64
    )
    young = ~waits | (at.age < KEEPS_UP)
    state[young] = KEEPING_UP
    catch_up[young] = 0.0
    still = waits & stands_still(at.consumed, at.age)
    state[still] = STALLED
    catch_up[still] = np.inf
    state[gone | (at.lost > 0)] = LOSING
    unknown = np.isnan(at.lag)
    state[unknown] = NOT_KNOWN
    for values in (margin, catch_up, of_messages, of_time):
        values[unknown] = np.nan
    return Outlook(unread, of_messages, of_time, margin, catch_up, state)


def _or_nothing(values: Floats) -> Floats:
    """0 in place of what is not known."""
    return np.where(np.isnan(values), 0.0, values)


def smoothed(now: Floats, before: Floats, seconds: Floats) -> Floats:
    """A rate of the last `seconds` and what it was before, smoothed over SMOOTHED seconds.

    One that is not known leaves the other.
    """
    share = -np.expm1(-seconds / SMOOTHED)
    mixed = before + share * (now - before)
    return np.where(np.isnan(mixed), np.where(np.isnan(now), before, now), mixed)
