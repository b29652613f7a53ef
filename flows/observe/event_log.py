"""Events of pools, sinks and merge as log lines: failures as warnings, what is usual at debug."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import asdict

from flows.errors import NO_SINK
from flows.observe.picture import Job, Picture, SinkPicture
from flows.observe.shortfalls import shortfalls
from operators.events import (
    BreakerClosed,
    BreakerOpened,
    CollectedInPart,
    Observer,
    PoolEvent,
    PoolStarted,
    PoolStopped,
    PoolStopping,
    TaskCompleted,
    TaskEvent,
    TaskFailed,
    TaskQueued,
    TaskRetrying,
    TaskStarted,
)
from operators.merge.coverage import Coverage
from operators.schema.logs import Log
from operators.ticks import Outcome
from sinks.events import DeadLettersDropped, DeliveryRetried, PointsRejected, SamplesDead

EVERY = 60.0
"""Seconds between two warnings of the same thing; those between them are counted."""

_USUAL: dict[type[PoolEvent], str] = {
    PoolStarted: "pool started",
    PoolStopping: "pool stopping",
    PoolStopped: "pool stopped",
    TaskQueued: "task queued",
    TaskStarted: "task started",
    TaskCompleted: "task completed",
    TaskRetrying: "task retrying",
}


_OF_A_CLUSTER = ("refused", "resolve", "tls", "auth", "config")
"""Classes of errors that a cluster's targets have together: it cannot be reached, or lets us not in."""

_ADVICE = (
    "samples wait in the spool and none is lost; where it lasts, `mqpipe check --connect` reports what "
    "is wrong"
)


class RateLimit:
    """Lets one of each thing through every `every` seconds, and counts the rest."""

    def __init__(self, every: float, clock: Callable[[], float]) -> None:
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[Hashable, tuple[float, int]] = {}

    def admit(self, thing: Hashable) -> int | None:
        """How many of it were suppressed since the last one, or None: suppress this one too."""
        now = self._clock()
        with self._lock:
            at, suppressed = self._last.get(thing, (None, 0))
            if at is not None and now - at < self._every:
                self._last[thing] = at, suppressed + 1
                return None
            self._last[thing] = now, 0
            return suppressed

    @property
    def suppressed(self) -> int:
        """How many were suppressed that no later one has reported."""
        with self._lock:
            return sum(suppressed for _, suppressed in self._last.values())


class EventLog:
    """Writes events to the log. Any thread may call its methods."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = RateLimit(EVERY, clock)
        self._log = Log("mqpipe.events")

    @property
    def observer(self) -> Observer:
        """Has what is usual in pools made only where the log is at debug."""
        logged: set[type[PoolEvent]] = {TaskFailed, BreakerOpened, BreakerClosed}
        if self._log.says(logging.DEBUG):
            logged |= _USUAL.keys()
        return Observer(self.hear, frozenset(logged))

    def hear(self, event: object) -> None:
        """Log an event if it is worth a line."""
        match event:
            case TaskFailed():
                self._task_failed(event)
            case CollectedInPart():
                self._in_part(event)
            case BreakerOpened():
                if self._limit.admit((_cluster(event), "breaker opened")) is not None:
                    self._log.warning(
                        "breaker opened",
                        pool=event.pool,
                        target=event.key,
                        probe_seconds=event.probe,
                    )
            case BreakerClosed():
                if self._limit.admit((_cluster(event), "breaker closed")) is not None:
                    self._log.info("breaker closed", pool=event.pool, target=event.key)
            case DeliveryRetried():
                self._retried(event)
            case SamplesDead():
                self._dead(event)
            case PointsRejected():
                self._rejected(event)
            case DeadLettersDropped():
                self._log.warning("dead letters dropped", path=event.path, samples=event.samples)
            case Coverage():
                self._log.debug("coverage", **asdict(event))
            case PoolEvent():
                self._log.debug(_USUAL[type(event)], **asdict(event))

    def started(self, job: Job, url: str | None) -> None:
        """Say what begins, and where it can be watched."""
        self._log.info(
            f"{job.name} started",
            **({"mode": job.mode} if job.mode else {}),
            interval_seconds=job.interval,
            targets=len(job.targets),
            fleets=len(job.fleets),
            sinks=list(job.sinks),
            metrics=url and f"{url}/metrics",
        )
        for sink, words in job.files.items():
            self._log.info(words, sink=sink)
        if not job.sinks:
            self._log.warning(NO_SINK)

    def ended(self, picture: Picture, *, failed: bool) -> None:
        """Say what came of it: samples by sink and origin, and what is not where it should be.

        Each target has ticks of its own, and so has each simulated cluster.
        `dead` are letters: a sample that two routes of a sink refused is two.
        """
        fell_short = shortfalls(picture)
        self._log.log(
            logging.ERROR if failed else logging.WARNING if fell_short else logging.INFO,
            f"{picture.job.name} {'failed' if failed else 'ended'}",
            seconds=round(picture.now - picture.started, 1),
            samples={sink.name: dict(sink.written) for sink in picture.sinks},
            in_files={s.name: s.arrived for s in picture.sinks if s.published is not None},
            in_files_of_earlier_runs={s.name: s.earlier for s in picture.sinks if s.earlier},
            delivered={s.name: _delivered(s) for s in picture.sinks if s.spool_limit is not None},
            unsent_bytes=sum(sink.unsent_bytes for sink in picture.sinks),
            dead=sum(sum(sink.dead.values()) for sink in picture.sinks),
            unreadable=picture.unreadable,
            **_ticks(picture),
            warnings_suppressed=self._limit.suppressed,
            problems=list(fell_short),
        )

    def _task_failed(self, event: TaskFailed) -> None:
        if event.error_class in _OF_A_CLUSTER:
            suppressed = self._limit.admit((_cluster(event), event.error_class))
        else:
            suppressed = self._limit.admit((event.pool, event.key, event.error_class))
            # What all targets of a cluster wait for fails all of them alike.
            if suppressed is not None and event.key is not None:
                alike = (_cluster(event), event.error_class, event.error)
                suppressed = None if self._limit.admit(alike) is None else suppressed
        if suppressed is not None:
            what = {Outcome.OVERRUN: "task skipped", Outcome.REFUSED: "task refused"}
            self._log.warning(
                what.get(event.outcome, "task failed"),
                pool=event.pool,
                target=event.key,
                error_class=event.error_class,
                error=event.error,
                attempts=event.attempts,
                seconds=round(event.duration, 3),
                suppressed=suppressed,
            )

    def _in_part(self, event: CollectedInPart) -> None:
        suppressed = self._limit.admit((event.target, "in part", event.error_class))
        if suppressed is not None:
            self._log.warning("collected in part", **asdict(event), suppressed=suppressed)

    def _retried(self, event: DeliveryRetried) -> None:
        suppressed = self._limit.admit((event.sink, event.reason))
        if suppressed is not None:
            self._log.warning(
                "delivery retried",
                sink=event.sink,
                route=event.route,
                reason=event.reason,
                attempt=event.attempt,
                retry_in_seconds=round(event.retry_in, 3),
                suppressed=suppressed,
                advice=_ADVICE,
            )

    def _rejected(self, event: PointsRejected) -> None:
        suppressed = self._limit.admit((event.sink, event.route, "rejected", event.reason))
        if suppressed is not None:
            self._log.warning(
                "points were left out of a delivery that was taken; the receiver does not say "
                "which",
                **asdict(event),
                suppressed=suppressed,
            )

    def _dead(self, event: SamplesDead) -> None:
        suppressed = self._limit.admit((event.sink, event.route, "dead", event.status))
        if suppressed is not None:
            self._log.warning(
                "samples went to dead letters",
                sink=event.sink,
                route=event.route,
                samples=sum(event.by_origin.values()),
                reason=event.reason,
                status=event.status,
                suppressed=suppressed,
            )


def _ticks(picture: Picture) -> dict[str, int]:
    """How many ticks went how; a replay has none."""
    if not picture.job.mode and not picture.targets and not picture.simulated_ticks:
        return {}
    completed = sum(target.completed for target in picture.targets)
    return {
        "ticks_completed": picture.simulated_ticks + completed,
        "ticks_failed": sum(target.failed for target in picture.targets),
    }


def _delivered(sink: SinkPicture) -> int | dict[str, int]:
    """Samples that arrived; by route where there are several, for not all of them take each."""
    routes = sink.by_route
    return dict(routes) if len(routes) > 1 else sink.arrived


def _cluster(event: TaskEvent) -> str | None:
    """The cluster of a target, `<cluster>/<kind>`."""
    return None if event.key is None else event.key.partition("/")[0]
