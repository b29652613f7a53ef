"""One Kafka broker as a process: started, hung, stopped and killed at will."""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka.child import Spawner
from tests.server_process import ServerProcess

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


class Broker(ServerProcess):
    """A broker's process. `command` runs it; `ports` are its own, by listener."""

    def __init__(
        self,
        broker_id: int,
        ports: Mapping[str, int],
        metrics_port: int,
        command: Sequence[str],
        log: Path,
    ) -> None:
        super().__init__(log)
        self.id = broker_id
        self.ports = ports
        self.metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        self._command = command

    def spawn(self, spawner: Spawner) -> None:
        """Starts the process; does not wait for the broker in it."""
        self.run(spawner, self._command)

    def wait_until_up(self) -> None:
        """Returns when the broker answers and counts itself among the live ones.

        Raises:
            BrokerError: it ended, or did not answer within `START_TIMEOUT`.
        """
        deadline = monotonic() + START_TIMEOUT
        while not self._answers():
            if monotonic() > deadline:
                raise BrokerError(self.id, f"does not answer after {START_TIMEOUT} s", self.log)
            try:
                code = self.process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            raise BrokerError(self.id, f"ended with {code}", self.log)

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
            raise BrokerError(self.id, what, self.log) from None

    def go_on(self, spawner: Spawner) -> None:
        """Has it run again, whatever became of it; does not wait for the broker in it."""
        if self.process.poll() is None:
            self.resume()
        else:
            self.spawn(spawner)

    def _answers(self) -> bool:
        if not self._listens():
            return False
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

    def _listens(self) -> bool:
        # Asked twenty times a second: a client would cost more than what it waits for.
        try:
            socket.create_connection(("127.0.0.1", self.ports["PLAINTEXT"]), timeout=1.0).close()
        except OSError:
            return False
        return True
