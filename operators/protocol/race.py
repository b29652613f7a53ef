"""Several ways to one end, tried one after another without waiting for the slow ones."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class AllFailedError(Exception):
    """None of the attempts came to an end; `errors` are theirs, in the order in which they came."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__(errors)
        self.errors = errors


async def first_of(
    attempts: Iterable[Callable[[], Coroutine[Any, Any, T]]], head_start: float
) -> T:
    """What the first attempt returns that succeeds; the others are cancelled.

    Each attempt has `head_start` seconds before the next one begins beside it; one that fails
    has the next begin at once. Attempts bound themselves in time.

    Raises:
        AllFailedError: all failed.
    """
    running: set[asyncio.Task[T]] = set()
    errors: list[Exception] = []
    left = iter(attempts)
    more = True
    try:
        while True:
            attempt = next(left, None) if more else None
            if attempt is None:
                more = False
                if not running:
                    raise AllFailedError(errors)
            else:
                running.add(asyncio.ensure_future(attempt()))
            done, running = await asyncio.wait(
                running,
                timeout=head_start if more else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                error = task.exception()
                if error is None:
                    return task.result()
                if not isinstance(error, Exception):
                    raise error
                errors.append(error)
    finally:
        for task in running:
            task.cancel()
        for task in running:
            # Each is waited for, so that what it had opened is closed.
            with_error = asyncio.gather(task, return_exceptions=True)
            await with_error
