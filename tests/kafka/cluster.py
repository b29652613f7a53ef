"""A real Kafka for tests: brokers of any of its versions as processes on loopback ports."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Protocol, Self

from tests.kafka.broker import Broker
from tests.kafka.child import Spawner
from tests.kafka.jars import VERSION, agent_jar, classpath, java, resolve_jars
from tests.kafka.settings import (
    Place,
    kraft_settings,
    zookeeper_config,
    zookeeper_settings,
)
from tests.kafka.start_cache import ARCHIVING, archived_classes, copy_formatted, formatted, some_id
from tests.kafka.tools import QUICK_START, ask_tool, run_tool
from tests.ports import PortClaim

JMX_EXPORTER_CONFIG = Path(__file__).parents[2] / "docker" / "jmx-exporter.yml"

PROXIED = "PROXIED"
"""A listener that clients reach by a test's own proxies."""


class Kafka(Protocol):
    """What a test may ask of a cluster, whoever started it."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of its brokers, with commas between."""

    @property
    def metrics_urls(self) -> Mapping[int, str]:
        """The Prometheus page of each broker by its id; empty where there are none."""

    def tool(self, main_class: str, *args: str) -> str:
        """What Kafka's own tool `main_class` prints about this cluster."""


class ExternalKafka:
    """A cluster that runs already and that others own."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.metrics_urls: Mapping[int, str] = {}

    def tool(self, main_class: str, *args: str) -> str:
        """What Kafka's own tool `main_class` prints about this cluster."""
        return ask_tool(main_class, "--bootstrap-server", self.bootstrap_servers, *args)


class KafkaCluster:
    """A cluster of brokers; a context manager.

    Each of them is a controller too, or only the first where they are two. Those of 2.x have a
    ZooKeeper beside them. Broker ids count from 1. Each broker serves the Prometheus JMX exporter's page by the rules
    of docker/jmx-exporter.yml. All of it lies in a temporary directory and ends with this
    process, even where that is killed.

    Args:
        brokers: how many.
        version: of Kafka, one of `tests.kafka.jars.VERSIONS`.
        listeners: further listeners by name, with their security protocol:
            `{"SCRAM": "SASL_PLAINTEXT"}`. `PLAINTEXT` is always there.
        advertised: by broker id and listener: the port that clients are told, of a proxy say.
        settings: server.properties of every broker, over those of tests/kafka/settings.py.
        format_args: further arguments of `StorageTool format`, such as `--add-scram …`.
        heap: the heap of a broker, as `java -Xmx` takes it.
        rules: the exporter's, in place of docker/jmx-exporter.yml; read again when they change.
        agent: the exporter's jar, in place of that in pom.xml.
        classes: options by which a broker's JVM has or keeps its classes, in place of those that
            are kept between starts.

    Raises:
        MissingToolError, UnresolvedJarsError: there is no Java, or no jars.
        BrokerError: a broker did not come up.
    """

    def __init__(
        self,
        brokers: int = 1,
        *,
        version: str = VERSION,
        listeners: Mapping[str, str] | None = None,
        advertised: Mapping[tuple[int, str], int] | None = None,
        settings: Mapping[str, str] | None = None,
        format_args: Sequence[str] = (),
        heap: str = "256m",
        rules: Path = JMX_EXPORTER_CONFIG,
        agent: Path | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        security = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        self._resources = ExitStack()
        with self._resources:
            self._directory = Path(tempfile.mkdtemp(prefix="mqpipe-kafka-"))
            self._resources.callback(shutil.rmtree, self._directory, ignore_errors=True)
            self._spawner = Spawner()
            self._resources.callback(self._spawner.close)
            self.version = version
            self.advertised = advertised or {}
            self._jars = resolve_jars(version)
            if classes is None:
                classes = archived_classes(version, partial(_end_a_broker, version))
            self._classes = classes
            self._agent = f"{agent or agent_jar(self._jars)}=127.0.0.1:{{}}:{rules}"
            self._brokers = self._configure(brokers, security, settings or {}, heap)
            if not self._needs_zookeeper:
                self._format(format_args)
            for broker in self._brokers.values():
                self._resources.callback(broker.kill)
                broker.spawn(self._spawner)
            for broker in self._brokers.values():
                broker.wait_until_up()
            self._resources = self._resources.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kills the brokers and removes all that they wrote."""
        self._resources.close()

    @property
    def broker_ids(self) -> tuple[int, ...]:
        """The ids of all brokers, running or not."""
        return tuple(self._brokers)

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of all brokers' plain listener, running or not."""
        return self.bootstrap_of("PLAINTEXT")

    def bootstrap_of(self, listener: str) -> str:
        """`host:port` of all brokers at one listener."""
        return ",".join(f"127.0.0.1:{b.ports[listener]}" for b in self._brokers.values())

    @property
    def metrics_urls(self) -> Mapping[int, str]:
        """The Prometheus page of each broker, by its id."""
        return {broker.id: broker.metrics_url for broker in self._brokers.values()}

    def tool(self, main_class: str, *args: str) -> str:
        """What Kafka's own tool `main_class` prints, with `--bootstrap-server` given to it.

        Raises:
            ToolError: it ended with an error.
        """
        return ask_tool(main_class, "--bootstrap-server", self.bootstrap_servers, *args)

    def start(self, broker_id: int) -> None:
        """Starts a broker that was stopped or killed, on its old ports; returns when it answers."""
        self._brokers[broker_id].spawn(self._spawner)
        self._brokers[broker_id].wait_until_up()

    def wait_until_up(self, broker_id: int) -> None:
        """Returns when a broker answers and is one of the cluster, as after `resume`."""
        self._brokers[broker_id].wait_until_up()

    def stop(self, broker_id: int) -> None:
        """Ends a broker by a controlled shutdown: its leaders move first."""
        self._brokers[broker_id].stop()

    def kill(self, broker_id: int) -> None:
        """Ends a broker with SIGKILL."""
        self._brokers[broker_id].kill()

    def pause(self, broker_id: int) -> None:
        """Hangs a broker (SIGSTOP): connections stay open and nothing answers."""
        self._brokers[broker_id].pause()

    def resume(self, broker_id: int) -> None:
        """Ends the hang (SIGCONT)."""
        self._brokers[broker_id].resume()

    def go_on(self, broker_id: int) -> None:
        """Starts a broker that has ended, or ends its hang; does not wait until it answers."""
        self._brokers[broker_id].go_on(self._spawner)

    def log(self, broker_id: int) -> str:
        """The last lines of a broker's log."""
        return self._brokers[broker_id].log

    def log_dir(self, broker_id: int) -> Path:
        """The directory of a broker's partitions."""
        return self._directory / f"broker-{broker_id}"

    def _configure(
        self,
        brokers: int,
        security: Mapping[str, str],
        settings: Mapping[str, str],
        heap: str,
    ) -> dict[int, Broker]:
        ids = range(1, brokers + 1)
        if self._needs_zookeeper:
            zookeeper = self._start_zookeeper()
            with_metadata = partial(zookeeper_settings, zookeeper=zookeeper, brokers=brokers)
        else:
            controllers = {n: self._port() for n in (ids if brokers % 2 else (1,))}
            with_metadata = partial(kraft_settings, controllers=controllers, brokers=brokers)
        configured = {}
        for broker_id in ids:
            ports = {listener: self._port() for listener in security}
            metrics_port = self._port()
            advertised_here = {
                name: port for (of, name), port in self.advertised.items() if of == broker_id
            }
            place = Place(broker_id, ports, security, self.log_dir(broker_id), advertised_here)
            _write(self._properties(broker_id), {**with_metadata(place), **settings})
            configured[broker_id] = Broker(
                broker_id,
                ports,
                metrics_port,
                self._command(broker_id, metrics_port, heap),
                self._directory / f"broker-{broker_id}.log",
            )
        return configured

    @property
    def _needs_zookeeper(self) -> bool:
        return self.version.startswith("2.")

    def _start_zookeeper(self) -> int:
        port = self._port()
        config = self._directory / "zookeeper.properties"
        _write(config, zookeeper_config(port, self._directory / "zookeeper"))
        main_class = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        process = self._spawner.start(
            [*self._java("256m"), main_class, str(config)], self._directory / "zookeeper.log"
        )
        self._resources.callback(process.wait)
        self._resources.callback(process.kill)
        return port

    def _command(self, broker_id: int, metrics_port: int, heap: str) -> list[str]:
        options = self._java(heap, *self._classes, f"-javaagent:{self._agent.format(metrics_port)}")
        return [*options, "kafka.Kafka", str(self._properties(broker_id))]

    def _java(self, heap: str, *options: str) -> list[str]:
        return [
            java(),
            *QUICK_START,
            f"-Xmx{heap}",
            *options,
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-cp",
            classpath(self._jars),
        ]

    def _format(self, format_args: Sequence[str]) -> None:
        """Formats one directory by Kafka's own tool, where none is kept, and copies it to the others."""
        first, *_ = self._brokers

        def format_one(directory: Path) -> None:
            config = str(self._properties(first))
            command = ("format", f"--cluster-id={some_id()}", "--config", config)
            run_tool("kafka.tools.StorageTool", *command, *format_args, version=self.version)
            shutil.move(self.log_dir(first), directory)

        template = self._directory / "formatted"
        if format_args:
            format_one(template)
        else:
            template = formatted(self.version, format_one)
        cluster_id = some_id()
        for broker_id in self._brokers:
            copy_formatted(template, self.log_dir(broker_id), broker_id, cluster_id)

    def _properties(self, broker_id: int) -> Path:
        return self._directory / f"broker-{broker_id}.properties"

    def _port(self) -> int:
        claim = self._resources.enter_context(PortClaim())
        return claim.port


class ReopenedKafka:
    """A cluster of one broker that may be closed between uses: the next use has a new one.

    Raises:
        MissingToolError, UnresolvedJarsError, BrokerError: as `KafkaCluster` does.
    """

    def __init__(self) -> None:
        self._cluster: KafkaCluster | None = KafkaCluster()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kills the broker and removes all that it wrote."""
        if self._cluster is not None:
            self._cluster.close()
        self._cluster = None

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of its broker."""
        return self._opened().bootstrap_servers

    @property
    def metrics_urls(self) -> Mapping[int, str]:
        """The Prometheus page of its broker, by its id."""
        return self._opened().metrics_urls

    def tool(self, main_class: str, *args: str) -> str:
        """What Kafka's own tool `main_class` prints about it."""
        return self._opened().tool(main_class, *args)

    def _opened(self) -> KafkaCluster:
        if self._cluster is None:
            self._cluster = KafkaCluster()
        return self._cluster


def _write(file: Path, properties: Mapping[str, str]) -> None:
    file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))


def _end_a_broker(version: str, option: str) -> None:
    """Have a broker come up and end, with an option for its JVM."""
    with KafkaCluster(version=version, classes=(option, *ARCHIVING)) as cluster:
        cluster.stop(1)
