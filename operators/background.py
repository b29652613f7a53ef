"""The one asyncio loop of a process, in a background thread."""

import asyncio
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SWITCH = 0.0005
"""Seconds for which another thread may keep the interpreter from the loop, a tenth of the usual. Each
message that is sent lets go of it, and with many clusters due at once that is hundreds."""


class Background:
    """An event loop that runs in a daemon thread from construction to `close`.

    One a process: pools, clients and senders share it. What blocks does not belong on it.
    """

    def __init__(self) -> None:
        sys.setswitchinterval(_SWITCH)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="mqpipe-loop", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the loop and wait for it; for start and end, not for work.

        Raises:
            TimeoutError: it did not end within `timeout` seconds; it is cancelled then.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def close(self, timeout: float = 1.0) -> None:
        """Cancel what is left, wait up to `timeout` seconds for it, and end the loop."""
        if self.loop.is_closed():
            return
        self.run(self._cancel_all(timeout))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel_all(self, timeout: float) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=timeout)
        await self.loop.shutdown_asyncgens()
