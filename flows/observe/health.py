"""Whether a job is well, and if not, why: for probes and for people."""

from dataclasses import dataclass

from flows.observe.picture import Picture
from flows.units import duration, size
from operators.ticks import Outcome

NOT_READY_AFTER = 3
"""Intervals without any tick after which a job is not ready."""
NOT_LIVE_AFTER = 10
"""Intervals without any tick, and without a reason for it, after which a restart is due."""
SPOOL_FULL = 0.95
"""Share of its limit at which a spool counts as full."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why a job is not well."""

    code: str
    """One word, for alerts: starting, stalled, clock_set_back, spool_full, draining,
    targets_failing."""
    message: str
    """What is wrong and what to do."""


def not_ready(picture: Picture) -> list[Cause]:
    """Why samples do not flow as they should; empty where they do."""
    causes = []
    if picture.draining:
        causes.append(Cause("draining", "the job was asked to end and takes no new ticks"))
    if picture.now < picture.there_until and _silence(picture) > picture.job.interval:
        left = duration(picture.there_until - picture.now)
        causes.append(
            Cause(
                "clock_set_back",
                f"the clock was set back: the samples of the next {left} are there already, then "
                "ticks go on",
            )
        )
    elif picture.last_activity is None and not _silent(picture, NOT_READY_AFTER):
        causes.append(Cause("starting", "no tick has ended yet"))
    elif not picture.draining and _silent(picture, NOT_READY_AFTER):
        causes.append(
            Cause(
                "stalled",
                f"no tick ended for {duration(_silence(picture))}, and one is due every "
                f"{duration(picture.job.interval)}; look for the last warnings in the log",
            )
        )
    causes += _full_spools(picture)
    tried = [target for target in picture.targets if target.outcome is not None]
    if tried and all(target.outcome is not Outcome.COMPLETED for target in tried):
        last = tried[-1]
        causes.append(
            Cause(
                "targets_failing",
                f"all {len(tried)} targets fail; {last.key}: {last.error_class}: {last.error}; "
                "`mqpipe check --connect` says what is wrong with each",
            )
        )
    return causes


def not_live(picture: Picture) -> list[Cause]:
    """Why only a restart can help; empty where it would not."""
    explained = picture.draining or picture.now < picture.there_until or _full_spools(picture)
    if explained or not _silent(picture, NOT_LIVE_AFTER):
        return []
    message = f"no tick ended for {duration(_silence(picture))} and nothing explains it"
    return [Cause("stalled", message)]


def _full_spools(picture: Picture) -> list[Cause]:
    return [
        Cause(
            "spool_full",
            f"the spool of `{sink.name}` holds {size(sink.spool_bytes)} of {size(sink.spool_limit)}: "
            "what it sends to does not take samples, or too slowly",
        )
        for sink in picture.sinks
        if sink.spool_limit and sink.spool_bytes >= SPOOL_FULL * sink.spool_limit
    ]


def _silence(picture: Picture) -> float:
    since = picture.started if picture.last_activity is None else picture.last_activity
    return picture.now - since


def _silent(picture: Picture, intervals: int) -> bool:
    return _silence(picture) > intervals * picture.job.interval
