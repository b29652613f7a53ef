"""How exactly the engine's threads are woken, which is what an idle run costs.

While nothing is to be done the engine waits for a millisecond at a time, a thousand times a second:
1.5 % of a core. Linux may let a thread wait longer than it asked to, by its timer slack
(https://man7.org/linux/man-pages/man2/PR_SET_TIMERSLACK.2const.html), so one that has nothing under
way is woken a fifth as often, and what falls due then begins up to `RESTING` later. One that works
is woken as it asks: it waits with the same timers for the interpreter.
"""

import ctypes
import sys
import threading
from functools import cache
from typing import Any

RESTING = 4_000_000
"""Nanoseconds by which a thread that rests may be woken late."""

_PR_SET_TIMERSLACK = 29
_AS_IT_WAS = 0


class _Resting(threading.local):
    now = False


_this_thread = _Resting()


def rest() -> None:
    """Let this thread be woken late, until `attend`. Elsewhere than on Linux nothing changes."""
    if not _this_thread.now:
        _this_thread.now = True
        _set(RESTING)


def attend() -> None:
    """Have this thread woken when it asks to be."""
    if _this_thread.now:
        _this_thread.now = False
        _set(_AS_IT_WAS)


def _set(nanoseconds: int) -> None:
    if sys.platform == "linux":
        _prctl()(_PR_SET_TIMERSLACK, ctypes.c_ulong(nanoseconds), 0, 0, 0)


@cache
def _prctl() -> Any:
    """Looked up once: rest and attend are called for each thread that has nothing under way."""
    return ctypes.CDLL(None).prctl
