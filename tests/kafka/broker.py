"""One Kafka broker as a process: started, hung, stopped and killed at will."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka.child import Spawner

START_TIMEOUT = 90.0
"""Seconds from a broker's start to its first answer, at most."""

STOP_TIMEOUT = 60.0
"""Seconds that a controlled shutdown may take."""


class BrokerError(Exception):
    """A broker ended, or did not answer in time; the text has the last lines of its log."""

    def __init__(self, broker_id: int, what: str, log: str) -> None:
        super().__init__(broker_id, what, log)
        self.broker_id = broker_id
        self.what = what
        self.log = log

    def __str__(self) -> str:
        return f"broker {self.broker_id} {self.what}; the end of its log:\n{self.log}"


class Broker:
    """A broker's process. `command` runs it; `ports` are its own, by listener."""

    def __init__(
        self,
        broker_id: int,
        ports: Mapping[str, int],
        metrics_port: int,
        command: Sequence[str],
        log: Path,
    ) -> None:
        self.id = broker_id
        self.ports = ports
        self.metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        if self._process is None:
            raise RuntimeError(f"broker {self.id} was never started")
        return self._process

    def spawn(self, spawner: Spawner) -> None:
        """Starts the process; does not wait for the broker in it."""
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError(f"broker {self.id} runs already")
        self._process = spawner.start(self._command, self._log)

    def wait_until_up(self) -> None:
        """Returns when the broker answers and counts itself among the live ones.

        Raises:
            BrokerError: it ended, or did not answer within `START_TIMEOUT`.
        """
        deadline = monotonic() + START_TIMEOUT
        while not self._answers():
            if monotonic() > deadline:
                raise BrokerError(self.id, f"does not answer after {START_TIMEOUT} s", self.log())
            try:
                code = self.process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            raise BrokerError(self.id, f"ended with {code}", self.log())

    def stop(self) -> None:
        """Ends it by a controlled shutdown: its leaders move first.

        Raises:
            BrokerError: it still runs after `STOP_TIMEOUT`.
        """
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            what = f"did not stop within {STOP_TIMEOUT} s"
            raise BrokerError(self.id, what, self.log()) from None

    def kill(self) -> None:
        """Ends it with SIGKILL; nothing happens where it has ended already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Hangs it: connections stay open and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)
        # On a busy machine its threads go on until the one that has the signal gets its turn.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Ends the hang."""
        self.process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """The last lines that it printed."""
        lines = self._log.read_text(errors="replace").splitlines(keepends=True)
        return "".join(lines[-40:])

    def _answers(self) -> bool:
        # A new client each time: one that lives on asks the other brokers too.
        client = AdminClient(
            {
                "bootstrap.servers": f"127.0.0.1:{self.ports['PLAINTEXT']}",
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                "log_level": 0,
            }
        )
        try:
            return self.id in client.list_topics(timeout=1.0).brokers
        except KafkaException:
            return False
