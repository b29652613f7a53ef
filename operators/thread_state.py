"""What the interpreter keeps of the engine's threads."""

import ctypes
import threading


class _EndsWithThread(threading.local):
    """Lives in the thread's state: gone with it, and then the state is kept again."""

    kept = False


_here = _EndsWithThread()


def keep_thread_state() -> None:
    """Have the interpreter keep this thread's state for as long as the process lives.

    Bytewax's workers are no threads of Python's. When they call into Python, `PyGILState_Ensure`
    makes a thread state and memory for frames, and when the call returns they are given up: some
    20 µs a call, most of it in the kernel. A state that is held once more than it is released is
    used again (https://docs.python.org/3/c-api/init.html#c.PyGILState_Ensure).
    """
    if not _here.kept:
        _here.kept = True
        ctypes.pythonapi.PyGILState_Ensure()
