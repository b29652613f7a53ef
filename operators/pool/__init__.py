"""A bounded pool for concurrent work of any kind; knows neither Kafka nor Bytewax.

::

    async with Pool("pages", PoolSettings(size=8)) as pool:
        result = await pool.submit(lambda left: fetch(url, timeout=left), key=url)
        results = await map_batch(pool, urls, lambda url, left: fetch(url, timeout=left))
"""

from operators.pool.batch import map_batch, stream
from operators.pool.pool import Pool
from operators.pool.settings import BackoffSettings, BreakerSettings, PoolSettings, PoolsSettings
from operators.pool.stats import DURATION_BUCKETS, BreakerState, PoolStats, SlotState
from operators.pool.task import Priority, Result, Work, classify
from operators.pool.thread import call, in_thread

__all__ = [
    "DURATION_BUCKETS",
    "BackoffSettings",
    "BreakerSettings",
    "BreakerState",
    "Pool",
    "PoolSettings",
    "PoolStats",
    "PoolsSettings",
    "Priority",
    "Result",
    "SlotState",
    "Work",
    "call",
    "classify",
    "in_thread",
    "map_batch",
    "stream",
]
