"""Real NATS servers for tests: processes on loopback ports, in a folder of their own."""

import json
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.kafka.child import Spawner
from tests.kafka.jars import MissingToolError
from tests.ports import PortClaim
from tests.server_process import ServerProcess

START_TIMEOUT = 60.0
"""Seconds from the servers' start until they are one cluster, at most."""

OTHER = "MQPIPE_TEST_NATS_SERVER"
"""The environment variable that names another nats-server than Debian's."""

_CONFIG = """\
server_name: {name}
listen: 127.0.0.1:{port}
http: 127.0.0.1:{http}
{jetstream}
{cluster}
{more}
"""


class ServerError(Exception):
    """A server ended, or did not answer in time; the text has the last lines of its log."""


def binary() -> str:
    """The server's program.

    Raises:
        MissingToolError: it is not installed.
    """
    found = os.environ.get(OTHER) or shutil.which(
        "nats-server", path=f"{os.environ['PATH']}:/usr/sbin"
    )
    if found is None:
        raise MissingToolError("nats-server", "nats-server")
    return found


class Server(ServerProcess):
    """One server's process, and the ports that are its own."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(folder / name / "log")
        self.name = name
        self._resources = ExitStack()
        self.port, self.http, self.route = (self._port() for _ in range(3))
        self._folder = folder / name
        self._folder.mkdir()

    def _port(self) -> int:
        claim = PortClaim()
        self._resources.callback(claim.close)
        return claim.port

    @property
    def url(self) -> str:
        """Of its clients' port."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor(self) -> str:
        """Of its monitoring port."""
        return f"http://127.0.0.1:{self.http}"

    def configure(self, routes: list[int], jetstream: str, more: str) -> None:
        """Writes its configuration."""
        cluster = ""
        if routes:
            to = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            cluster = f"cluster {{ name: c, listen: 127.0.0.1:{self.route}, routes: [{to}] }}"
        if jetstream:
            jetstream = f"jetstream {{ store_dir: {json.dumps(str(self._folder))}, {jetstream} }}"
        text = _CONFIG.format(
            name=self.name,
            port=self.port,
            http=self.http,
            jetstream=jetstream,
            cluster=cluster,
            more=more,
        )
        (self._folder / "nats.conf").write_text(text)

    def spawn(self, spawner: Spawner) -> None:
        """Starts the process; does not wait for what runs in it."""
        command = [binary(), "-c", str(self._folder / "nats.conf")]
        self.run(spawner, command)

    def get(self, page: str, timeout: float = 30) -> Any:
        """What a monitoring page says, as JSON."""
        with urllib.request.urlopen(f"{self.monitor}/{page}", timeout=timeout) as answer:
            return json.loads(answer.read())

    @property
    def answers(self) -> bool:
        """Whether it is up and well.

        Raises:
            ServerError: it ended.
        """
        if self.process.poll() is not None:
            raise ServerError(f"{self.name} ended with {self.process.returncode}\n{self.log}")
        try:
            return bool(self.get("healthz", 5)["status"] == "ok")
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Kills it and gives its ports back."""
        self.kill()
        self._resources.close()


class NatsCluster:
    """Servers with JetStream, one alone or several as a cluster; a context manager. All ends with this process.

    `jetstream` is what its configuration says besides the folder; none without any of it.

    Raises:
        MissingToolError: nats-server is not installed.
        ServerError: a server did not come up.
    """

    def __init__(
        self, servers: int = 1, jetstream: str = "max_mem: 64MB, max_file: 1GB", more: str = ""
    ) -> None:
        binary()
        self._resources = ExitStack()
        with self._resources:
            folder = Path(tempfile.mkdtemp(prefix="mqpipe-nats-"))
            self._resources.callback(shutil.rmtree, folder, ignore_errors=True)
            self._spawner = Spawner()
            self._resources.callback(self._spawner.close)
            self.servers = tuple(Server(f"s{n}", folder) for n in range(1, servers + 1))
            routes = [server.route for server in self.servers] if servers > 1 else []
            for server in self.servers:
                self._resources.callback(server.close)
                server.configure(routes, jetstream, more)
                server.spawn(self._spawner)
            self.wait_until_up()
            self._resources = self._resources.pop_all()

    def wait_until_up(self) -> None:
        """Returns when all answer, and where they are several when they have one leader."""
        deadline = time.monotonic() + START_TIMEOUT
        while not (all(server.answers for server in self.servers) and self._led):
            if time.monotonic() > deadline:
                raise ServerError("\n".join(server.log for server in self.servers))
            time.sleep(0.05)

    @property
    def _led(self) -> bool:
        if len(self.servers) == 1:
            return True
        said = [server.get("jsz").get("meta_cluster") or {} for server in self.servers]
        # Their names are known to the leader once they have talked with it.
        whole = any(len(meta.get("replicas") or ()) == len(self.servers) - 1 for meta in said)
        return whole and len({meta.get("leader") for meta in said} - {None, ""}) == 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kills the servers and removes all that they wrote."""
        self._resources.close()

    @property
    def first(self) -> Server:
        """The first server."""
        return self.servers[0]

    @property
    def urls(self) -> list[str]:
        """Their clients' ports."""
        return [server.url for server in self.servers]

    @property
    def monitors(self) -> list[str]:
        """Their monitoring ports."""
        return [server.monitor for server in self.servers]

    def named(self, name: str) -> Server:
        """The server of this name."""
        return next(server for server in self.servers if server.name == name)

    def start(self, server: Server) -> None:
        """Starts a server that was killed, on its old ports."""
        server.spawn(self._spawner)
        self.wait_until_up()
