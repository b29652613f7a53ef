"""Single keys from a terminal, which is left as it was found."""

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from flows.standard_streams import before_end

_LOOK = 0.25
"""Seconds after which a job that came to the foreground has its keys again."""
_NAMES = {
    "\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down",
    "\x1b[5~": "page up", "\x1b[6~": "page down", "\x1b[H": "home", "\x1b[F": "end",
    "\x1b": "escape", "\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "erase", "\x08": "erase",
}  # fmt: skip


def split_keys(text: str) -> list[str]:
    """What was typed, key by key: a character, or a name such as `up`, `escape`, `enter`."""
    keys = []
    while text:
        known = max((k for k in _NAMES if text.startswith(k)), key=len, default="")
        if known == "\x1b" and len(text) > 1:
            text = ""  # Another sequence of a key that means nothing here.
            continue
        key = known or text[0]
        keys.append(_NAMES.get(key, key))
        text = text[len(key) :]
    return keys


@contextmanager
def keys_read(
    press: Callable[[str], None],
    stopping: Callable[[], None] = lambda: None,
    going_on: Callable[[], None] = lambda: None,
) -> Iterator[bool]:
    """While the block runs `press` hears each key, from a thread; whether there is a keyboard.

    The terminal echoes nothing meanwhile; Ctrl-C and Ctrl-Z stay what they are. It is restored at
    the block's end, when the process is forced to end, and while it is stopped (Ctrl-Z), of which
    `stopping` and `going_on` are called. In the background nothing is read.
    """
    descriptor = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
    if descriptor < 0 or not os.isatty(descriptor):
        yield False
        return
    keyboard = _Keyboard(descriptor, press)
    before = None
    if threading.current_thread() is threading.main_thread():

        def stop(_number: int, _frame: FrameType | None) -> None:
            stopping()
            keyboard.restore()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            # Here it goes on.
            signal.signal(signal.SIGTSTP, stop)
            going_on()

        if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
            before = signal.signal(signal.SIGTSTP, stop)
    try:
        with before_end(keyboard.close):
            keyboard.start()
            yield True
    finally:
        keyboard.close()
        if before is not None:
            signal.signal(signal.SIGTSTP, before)


class _Keyboard:
    def __init__(self, descriptor: int, press: Callable[[str], None]) -> None:
        self._descriptor = descriptor
        self._press = press
        self._found: list[int | list[bytes | int]] | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._serve, name="keys", daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self.restore()

    def restore(self) -> None:
        """Leave the terminal as it was found; it is taken again when keys are read on."""
        with self._lock:
            if self._found is not None and self._is_ours():
                with suppress(termios.error):
                    termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._found)
            self._found = None

    def _take(self) -> bool:
        with self._lock:
            if self._ended.is_set() or not self._is_ours():
                return False
            if self._found is None:
                self._found = termios.tcgetattr(self._descriptor)
                tty.setcbreak(self._descriptor, termios.TCSADRAIN)
            return True

    def _is_ours(self) -> bool:
        """Whether this process is in the foreground: another that touches a terminal is stopped."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    def _serve(self) -> None:
        with suppress(OSError, termios.error):  # The terminal is gone.
            while not self._ended.is_set():
                if not self._take():
                    self._ended.wait(_LOOK)
                    continue
                ready, _, _ = select.select([self._descriptor], [], [], _LOOK)
                if not ready or self._ended.is_set() or not self._is_ours():
                    continue
                typed = os.read(self._descriptor, 1024)
                if not typed:
                    return
                for key in split_keys(typed.decode(errors="replace")):
                    self._press(key)
