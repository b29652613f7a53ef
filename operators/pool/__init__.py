"""A bounded pool for concurrent work of any kind; knows neither Kafka nor Bytewax.

::

    async with Pool("pages", PoolSettings(size=8)) as pool:
        result = await pool.submit(lambda left: fetch(url, timeout=left), key=url)
        results = await map_batch(pool, urls, lambda url, left: fetch(url, timeout=left))
"""

from typing import TYPE_CHECKING

from operators.schema.lazy import names_from

if TYPE_CHECKING:
    from operators.pool.batch import map_batch as map_batch
    from operators.pool.batch import stream as stream
    from operators.pool.pool import Pool as Pool
    from operators.pool.settings import BackoffSettings as BackoffSettings
    from operators.pool.settings import BreakerSettings as BreakerSettings
    from operators.pool.settings import PoolSettings as PoolSettings
    from operators.pool.settings import PoolsSettings as PoolsSettings
    from operators.pool.settings import Priority as Priority
    from operators.pool.stats import DURATION_BUCKETS as DURATION_BUCKETS
    from operators.pool.stats import BreakerState as BreakerState
    from operators.pool.stats import PoolStats as PoolStats
    from operators.pool.stats import SlotState as SlotState
    from operators.pool.task import Result as Result
    from operators.pool.task import Work as Work
    from operators.pool.task import classify as classify
    from operators.pool.thread import call as call
    from operators.pool.thread import in_thread as in_thread

_MODULES = {
    "operators.pool.batch": ("map_batch", "stream"),
    "operators.pool.pool": ("Pool",),
    "operators.pool.settings": (
        "BackoffSettings",
        "BreakerSettings",
        "PoolSettings",
        "PoolsSettings",
        "Priority",
    ),
    "operators.pool.stats": ("BreakerState", "DURATION_BUCKETS", "PoolStats", "SlotState"),
    "operators.pool.task": ("Result", "Work", "classify"),
    "operators.pool.thread": ("call", "in_thread"),
}
"""The names that can be imported from here, by where they are."""

__getattr__ = names_from(__name__, _MODULES)
