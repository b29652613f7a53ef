"""An answer that several tasks want, asked for once."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Whoever comes first asks; all others wait for the same answer.

    A waiter that is cancelled does not cancel the asking. A failure goes to all who wait, and
    the next who comes asks again.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    def begin(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Have it asked for, without waiting: `ask` is called if nobody has, or the last asking failed."""
        task = self._task
        if task is None or _failed(task):
            task = self._task = asyncio.create_task(ask())
            task.add_done_callback(_failed)
        return task

    async def get(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer; see `begin`."""
        return await answer(self.begin(ask))

    @property
    def failed(self) -> bool:
        """Whether the last asking failed, so that the next who comes asks again."""
        return self._task is not None and _failed(self._task)

    def forget(self) -> None:
        """Let the next who comes ask again."""
        self._task = None

    def cancel(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()


def _failed(task: asyncio.Task[Any]) -> bool:
    """Whether a task ended without an answer. Asking marks its error as seen."""
    return task.done() and (task.cancelled() or task.exception() is not None)


async def answer(task: asyncio.Task[T]) -> T:
    """What was asked for, or why it failed; who is cancelled meanwhile does not cancel the asking."""
    return task.result() if task.done() else await asyncio.shield(task)


async def all_of(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What all give, asked at once, in their order; as `asyncio.gather`.

    Where it is one alone, as of most clusters' brokers, no task is made for it.
    """
    return [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
