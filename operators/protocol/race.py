"""Several ways to one end, tried one after another without waiting for the slow ones."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class AllFailedError(Exception):
    """None of the attempts came to an end; `errors` are theirs, in the order in which they came."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__(errors)
        self.errors = errors


async def first_of(
    attempts: Iterable[Callable[[], Coroutine[Any, Any, T]]],
    head_start: float,
    discard: Callable[[T], None] = lambda _: None,
) -> T:
    """What the first attempt returns that succeeds; the others are cancelled.

    Each attempt has `head_start` seconds before the next one begins beside it; one that fails
    has the next begin at once. Attempts bound themselves in time. Others that have succeeded by
    then are given to `discard`.

    Raises:
        AllFailedError: all failed.
    """
    running: set[asyncio.Task[T]] = set()
    errors: list[Exception] = []
    left = iter(attempts)
    more = True
    won: asyncio.Task[T] | None = None
    try:
        while True:
            attempt = next(left, None) if more else None
            if attempt is not None:
                running.add(asyncio.ensure_future(attempt()))
            elif running:
                more = False
            else:
                raise AllFailedError(errors)
            done, _ = await asyncio.wait(
                running,
                timeout=head_start if more else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                running.remove(task)
                error = task.exception()
                if error is None:
                    won = task
                    return task.result()
                if not isinstance(error, Exception):
                    raise error
                errors.append(error)
    finally:
        for task in running:
            task.cancel()
            # Also where whoever waits here is cancelled once more, as at a loop's end.
            task.add_done_callback(partial(_discard_result, discard))
        # They are waited for, so that what they had opened is closed.
        try:
            await asyncio.gather(*running, return_exceptions=True)
        except asyncio.CancelledError:
            if won is not None:
                discard(won.result())
            raise


def _discard_result(discard: Callable[[T], None], task: "asyncio.Task[T]") -> None:
    if not task.cancelled() and task.exception() is None:
        discard(task.result())
