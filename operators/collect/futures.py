"""Futures of librdkafka's threads, awaited on a loop."""

import asyncio
import itertools
from collections.abc import Collection
from concurrent.futures import Future
from contextlib import suppress
from typing import Any


async def all_done(futures: Collection[Future[Any]]) -> None:
    """Return when all futures are done, waking the loop once rather than once a future."""
    if not futures:
        return
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    finished = itertools.count(1)
    total = len(futures)

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    def on_done(_: Future[Any]) -> None:
        # In librdkafka's thread; the count is one atomic step.
        if next(finished) == total:
            with suppress(RuntimeError):  # The loop is closed: nobody waits.
                loop.call_soon_threadsafe(wake)

    for future in futures:
        future.add_done_callback(on_done)
    await woken
