"""A real RabbitMQ for tests: nodes as processes on loopback ports, in a folder of their own."""

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.kafka.child import Spawner
from tests.kafka.jars import MissingToolError
from tests.ports import PortClaim
from tests.server_process import ServerProcess

START_TIMEOUT = 120.0
"""Seconds from a node's start until it answers and is one of the cluster, at most."""

USER, PASSWORD = "guest", "guest"
"""Who may do everything."""

_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {prometheus}
collect_statistics_interval = 1000
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.absolute = 2GB
cluster_partition_handling = ignore
cluster_formation.classic_config.nodes.1 = {first}
{more}
"""


class ServerError(Exception):
    """A node ended, or did not answer in time; the text has the last lines of its log."""


def scripts() -> Path:
    """The folder of RabbitMQ's own scripts.

    Raises:
        MissingToolError: it is not installed.
    """
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    if not found or shutil.which("erl") is None:
        raise MissingToolError("rabbitmq-server", "rabbitmq-server")
    return found[-1]


class Node(ServerProcess):
    """One node's process, and the ports that are its own."""

    def __init__(
        self, name: str, folder: Path, epmd_port: int, cookie: str, first: str, more: str
    ) -> None:
        self._home = folder / name.partition("@")[0]
        super().__init__(self._home / "log")
        self.name = name
        self._resources = ExitStack()
        self.amqp, self.management, self.prometheus, dist = (self._port() for _ in range(4))
        self._home.mkdir()
        self._cookie = cookie
        written = self._home / ".erlang.cookie"
        written.write_text(cookie)
        written.chmod(0o400)
        ports = {
            "amqp": self.amqp,
            "management": self.management,
            "prometheus": self.prometheus,
        }
        (self._home / "rabbitmq.conf").write_text(_CONFIG.format(first=first, more=more, **ports))
        (self._home / "plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self._home),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": name,
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_CTL_DIST_PORT_MIN": "30000",
            "RABBITMQ_CTL_DIST_PORT_MAX": "32000",
            "RABBITMQ_BASE": str(self._home),
            "RABBITMQ_MNESIA_BASE": str(self._home / "data"),
            "RABBITMQ_LOG_BASE": str(self._home),
            "RABBITMQ_CONF_ENV_FILE": str(self._home / "none"),
            "RABBITMQ_CONFIG_FILE": str(self._home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "plugins"),
            # The interface is named, and the schedulers do not spin: others want the processors.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} "
            "+sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_ALLOW_INPUT": "1",
        }

    def _port(self) -> int:
        claim = PortClaim()
        self._resources.callback(claim.close)
        return claim.port

    @property
    def url(self) -> str:
        """Of its management API."""
        return f"http://127.0.0.1:{self.management}"

    @property
    def prometheus_url(self) -> str:
        """Of its Prometheus plugin."""
        return f"http://127.0.0.1:{self.prometheus}"

    def spawn(self, spawner: Spawner) -> None:
        """Starts the process; does not wait for what runs in it."""
        server = ["env", "-i", *(f"{k}={v}" for k, v in self._environment.items())]
        # Not given to the terminal: with an input it would end where that ends.
        command = [*server, str(scripts() / "rabbitmq-server"), "-noinput"]
        self.run(spawner, command)

    def wait_until_up(self) -> None:
        """Returns when its API answers.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                # The first to answer is Erlang, then the API, and only then what it knows.
                if any(node["name"] == self.name for node in self.api("nodes")):
                    with socket.create_connection(("127.0.0.1", self.amqp), 5):
                        return
            except (OSError, ServerError):
                pass
            if self.process.poll() is not None:
                raise ServerError(f"{self.name} ended with {self.process.returncode}\n{self.log}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} does not answer\n{self.log}")
            time.sleep(0.1)

    def api(self, path: str, method: str = "GET", body: Any = None, user: str = USER) -> Any:
        """What its management API answers, as JSON.

        Raises:
            ServerError: it answers with an error.
            OSError: it does not answer.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/{path}", data, method=method)
        login = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise ServerError(f"{method} {path}: {error.code} {error.read()!r}") from error
        return json.loads(text) if text else None

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints about it."""
        command = [str(scripts() / "rabbitmqctl"), "-n", self.name, *arguments]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=180, check=False
        )
        if done.returncode:
            raise ServerError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def call(self, function: str, *arguments: str) -> None:
        """Calls a function of Erlang in the node, where `rabbitmqctl` would start another one for it.

        Raises:
            ServerError: there is none, or it failed.
        """
        module, _, name = function.partition(":")
        call = f"{module} {name} [{','.join(arguments)}]"
        command = [
            "erl_call",
            "-c",
            self._cookie,
            "-sname",
            self.name,
            "-timeout",
            "60",
            "-a",
            call,
        ]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=90, check=False
        )
        if done.returncode or "badrpc" in done.stdout:
            raise ServerError(f"{function} on {self.name}: {done.stdout}{done.stderr}")

    def limit_memory(self, size: int) -> None:
        """What it may take, in bytes, before it raises an alarm."""
        limit = f"{{absolute,{size}}}"
        self.call("vm_memory_monitor:set_vm_memory_high_watermark", limit)

    def listed(self, *columns: str, vhost: str = "/") -> list[dict[str, Any]]:
        """What `rabbitmqctl list_queues` says of these columns."""
        printed = self.ctl("list_queues", "-q", "-p", vhost, "--formatter", "json", *columns)
        rows: list[dict[str, Any]] = json.loads(printed)
        return rows

    def close(self) -> None:
        """Kills it and gives its ports back."""
        self.kill()
        self._resources.close()


class RabbitServer:
    """A cluster of nodes; a context manager. All of it ends with this process.

    Raises:
        MissingToolError: RabbitMQ is not installed.
        ServerError: a node did not come up.
    """

    def __init__(self, nodes: int = 1, more: str = "") -> None:
        scripts()
        self._resources = ExitStack()
        with self._resources:
            folder = Path(tempfile.mkdtemp(prefix="mqpipe-rabbitmq-"))
            self._resources.callback(shutil.rmtree, folder, ignore_errors=True)
            self._spawner = Spawner()
            self._resources.callback(self._spawner.close)
            epmd = self._start_epmd(folder)
            cookie = secrets.token_hex(10).upper()
            tag = secrets.token_hex(3)
            names = [f"mq{n}-{tag}@localhost" for n in range(1, nodes + 1)]
            self.nodes = tuple(Node(name, folder, epmd, cookie, names[0], more) for name in names)
            # One that starts joins those that its configuration names: the first is to be there.
            for starting in (self.nodes[:1], self.nodes[1:]):
                for node in starting:
                    self._resources.callback(node.close)
                    node.spawn(self._spawner)
                for node in starting:
                    node.wait_until_up()
            self._resources = self._resources.pop_all()

    def _start_epmd(self, folder: Path) -> int:
        claim = PortClaim()
        self._resources.callback(claim.close)
        command = ["epmd", "-port", str(claim.port), "-address", "127.0.0.1"]
        process = self._spawner.start(command, folder / "epmd.log")
        self._resources.callback(process.wait)
        self._resources.callback(process.kill)
        return claim.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kills the nodes and removes all that they wrote."""
        self._resources.close()

    @property
    def first(self) -> Node:
        """The first node."""
        return self.nodes[0]

    def start(self, node: Node) -> None:
        """Starts a node that was killed, on its old ports."""
        node.spawn(self._spawner)
        node.wait_until_up()

    def mend(self) -> None:
        """Returns when all nodes run and are one cluster, without queues."""
        gone = [node for node in self.nodes if node.process.poll() is not None]
        there = [node for node in self.nodes if node not in gone]
        # One that was counted out is one of them again when it is restarted.
        cut = {name for row in there[0].api("nodes") for name in row.get("partitions", ())}
        for node in there[1:]:
            if node.name in cut:
                node.kill()
                gone.append(node)
        for node in gone:
            node.spawn(self._spawner)
        for node in gone:
            node.wait_until_up()
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_whole():
            if time.monotonic() > deadline:
                raise ServerError(f"not one cluster again\n{self.first.log}")
            time.sleep(0.1)
        for queue in self.first.api("queues?columns=name,vhost"):
            vhost, name = (urllib.parse.quote(queue[of], safe="") for of in ("vhost", "name"))
            self.first.api(f"queues/{vhost}/{name}", "DELETE")

    def _is_whole(self) -> bool:
        """Whether every node counts all others in."""
        names = {node.name for node in self.nodes}
        for node in self.nodes:
            try:
                rows = node.api("nodes")
            except ServerError:
                return False
            running = {row["name"] for row in rows if row["running"] and not row.get("partitions")}
            if running != names:
                return False
        return True

    def add_vhost(self, name: str) -> None:
        """Makes a virtual host that the tests' user may do all in."""
        quoted = urllib.parse.quote(name, safe="")
        self.first.api(f"vhosts/{quoted}", "PUT")
        permissions: Mapping[str, str] = dict.fromkeys(("configure", "write", "read"), ".*")
        self.first.api(f"permissions/{quoted}/{USER}", "PUT", permissions)
