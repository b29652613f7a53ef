"""What blocks, in a thread of its own that is gone afterwards and that nobody has to wait for."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def apart(function: Callable[[], T]) -> Future[T]:
    """What `function` returns or raises, once it has.

    It cannot be stopped: who stops waiting leaves it to itself, and it does not keep the process
    from ending.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def body() -> None:
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=body, name="mqpipe-kafka", daemon=True).start()
    return future
