"""A server's process that tests start, hang and kill at will."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.kafka.child import Spawner


class ServerProcess:
    """One server, started again and again; what it prints is appended to `log`."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._started: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        if self._started is None:
            raise RuntimeError(f"the server of {self._log} was never started")
        return self._started

    def run(self, spawner: Spawner, command: Sequence[str]) -> None:
        """Starts the process; does not wait for what runs in it."""
        if self._started is not None and self._started.poll() is None:
            raise RuntimeError(f"the server of {self._log} runs already")
        self._started = spawner.start(command, self._log)

    @property
    def log(self) -> str:
        """The last lines that it printed."""
        return "".join(self._log.read_text(errors="replace").splitlines(keepends=True)[-40:])

    def kill(self) -> None:
        """Ends it with SIGKILL; nothing happens where it has ended already."""
        if self._started is not None:
            self._started.kill()
            self._started.wait()

    def pause(self) -> None:
        """Hangs it: connections stay open and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)
        # On a busy machine its threads go on until the one that has the signal gets its turn.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Ends the hang."""
        self.process.send_signal(signal.SIGCONT)
