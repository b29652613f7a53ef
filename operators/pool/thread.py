"""Synchronous work in a thread of its own."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what may be either: a coroutine function on the loop, a plain one `in_thread`."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    return await in_thread(partial(function, *arguments))


async def in_thread(function: Callable[[], T]) -> T:
    """Run a blocking function in a daemon thread and wait for what it returns or raises.

    A thread cannot be stopped: when this is cancelled it goes on waiting, and a pool then
    abandons it, which is what bounds such threads. A daemon thread, and not one of an executor,
    since a hung one must not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def report(value: T | None, error: BaseException | None) -> None:
        if error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(value)  # type: ignore[arg-type]

    def body() -> None:
        value: T | None = None
        error: BaseException | None = None
        try:
            value = context.run(function)
        except StopIteration as stop:
            # A future refuses it: it would end the coroutine that waits.
            error = RuntimeError(f"the function raised StopIteration: {stop}")
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(report, value, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=body, name="mqpipe-work", daemon=True).start()
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as cancel:
            cancelled = cancel
    if cancelled is not None:
        ended.exception()  # seen, so that it is not reported as never retrieved
        raise cancelled
    return ended.result()
