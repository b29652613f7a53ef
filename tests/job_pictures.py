"""Pictures of jobs for tests of what shows them."""

from collections import Counter

from flows.observe.picture import (
    ClusterPicture,
    Delays,
    Job,
    Picture,
    PoolPicture,
    SinkPicture,
    TargetPicture,
)
from operators.pool.stats import BreakerState, PoolStats, SlotState
from operators.ticks import Outcome

NOW = 1_800_000_000.0
"""Seconds since the epoch."""


def good(key: str) -> TargetPicture:
    return TargetPicture(key, key.split("/")[1], Outcome.COMPLETED, 1, 0.2, NOW - 4, completed=12)


def bad(key: str, failures: int = 3) -> TargetPicture:
    return TargetPicture(
        key,
        key.split("/")[1],
        Outcome.FAILED,
        attempts=3,
        duration=10.0,
        completed=1,
        failed=failures,
        failures=failures,
        error_class="timeout",
        error="no answer from broker-1:9092 within 10 s",
    )


def pool(name: str, busy: str | None = None, tripped: str | None = None) -> PoolPicture:
    stats = PoolStats(limit=2, running=int(busy is not None), queued=4, queued_high=9)
    for _ in range(3):
        stats.ended(Outcome.COMPLETED, 0.2, None)
    stats.ended(Outcome.FAILED, 7.0, "timeout")
    stats.refused(Outcome.OVERRUN, "overrun")
    slots = [SlotState(0, busy, 2.5 if busy else 0.0), SlotState(1, None, 0.0)]
    breakers = [BreakerState(tripped, 5, open=True, probe_in=42.0, abandoned=0)] if tripped else []
    return PoolPicture(name, stats, 1000, slots, breakers)


def sink(name: str, *, spooled: bool, unsent: int = 0, dead: int = 0) -> SinkPicture:
    written = {"collected": 1200, "filled": 30}
    return SinkPicture(
        name,
        spool_limit=1_000_000 if spooled else None,
        published=None if spooled else Counter({o: n // 2 for o, n in written.items()}),
        written=Counter(written),
        rates={"collected": 40.0, "filled": 1.0},
        delivered=Counter({("events", o): n - 10 for o, n in written.items()} if spooled else {}),
        dead=Counter({("events", "collected"): dead} if dead else {}),
        retries=2,
        points_rejected=3,
        spools={"sink-0": (unsent, unsent)},
        watermarks={"collected": int(NOW * 1000) - 5_000},
        delays={"collected": Delays([0, 0, 1100, *[0] * 11, 100], 900.0, 0.4)},
    )


def cluster(name: str) -> ClusterPicture:
    tick = int(NOW * 1000) - 5_000
    return ClusterPicture(name, tick, 500, 1000, 970, 20, 3, recent=(100, 97, 2))


def picture(
    targets: tuple[TargetPicture, ...] = (good("prod/brokers"), bad("prod/topics")),
    pools: tuple[PoolPicture, ...] = (pool("brokers"), pool("topics", "prod/topics")),
    sinks: tuple[SinkPicture, ...] = (sink("parquet", spooled=False),),
    clusters: tuple[ClusterPicture, ...] = (),
    anomalies: tuple[str, ...] = (),
    *,
    draining: bool = False,
    silence: float | None = 5.0,
    up: float = 600.0,
    there_until: float = 0.0,
) -> Picture:
    """A job with an interval of 30 seconds whose last tick ended `silence` seconds ago."""
    return Picture(
        job=Job("run", 30.0, "hybrid"),
        now=NOW,
        started=NOW - up,
        draining=draining,
        last_activity=None if silence is None else NOW - silence,
        there_until=there_until,
        targets=targets,
        pools=pools,
        sinks=sinks,
        clusters=clusters,
        anomalies=anomalies,
        dead_letters_dropped=7,
    )
