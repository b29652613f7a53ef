"""Child processes that die with the test process, however it dies."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Asks the kernel to kill this process when its parent ends, then becomes the real command.
# (`preexec_fn` would do it too, but forking Python beside librdkafka's threads may deadlock.)
_BECOME = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


class Spawner:
    """Starts children that are killed when this process ends, even by SIGKILL.

    The kernel sends that signal when the *thread* that started a child ends, so all are started
    by one thread that lives as long as the spawner.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spawner")

    def start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Starts `command` with what it prints appended to `log`."""
        return self._thread.submit(_start, command, log).result()

    def close(self) -> None:
        """Ends the thread: children that still live are killed."""
        self._thread.shutdown()


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    launcher = [sys.executable, "-ISc", _BECOME, str(os.getpid()), *command]
    with log.open("ab") as output:
        return subprocess.Popen(
            launcher,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the terminal is for the tests, not the brokers.
        )
