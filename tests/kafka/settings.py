"""The server.properties of the tests' brokers: small, and quick to start and to notice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a broker listens and keeps its files.

    `listeners` maps a listener's name to its port and `security` to its protocol; the listener
    `PLAINTEXT` is the one between brokers. Clients are told `advertised_ports`, where a listener
    has one, instead of its own.
    """

    broker_id: int
    listeners: Mapping[str, int]
    security: Mapping[str, str]
    log_dir: Path
    advertised_ports: Mapping[str, int] = field(default_factory=dict)


def kraft_settings(place: Place, controllers: Mapping[int, int], brokers: int) -> dict[str, str]:
    """Settings of one of `brokers` processes; those of `controllers` (ids to ports) are both."""
    protocols = {"CONTROLLER": "PLAINTEXT", **place.security}
    is_controller = place.broker_id in controllers
    own = [f"CONTROLLER://127.0.0.1:{controllers[place.broker_id]}"] if is_controller else []
    return {
        "process.roles": "broker,controller" if is_controller else "broker",
        "node.id": str(place.broker_id),
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": ",".join(
            f"{node}@127.0.0.1:{port}" for node, port in controllers.items()
        ),
        # A killed broker is out after 4 s instead of 9, a first controller elected sooner.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "1000",
        "controller.quorum.election.timeout.ms": "500",
        # Who stands idle writes nothing twice a second.
        "metadata.max.idle.interval.ms": "0",
        **_listening(place, protocols, own),
        **_common(place, brokers),
    }


def zookeeper_settings(place: Place, zookeeper: int, brokers: int) -> dict[str, str]:
    """Settings of one of `brokers` that keep their metadata in a ZooKeeper at a loopback port."""
    return {
        "broker.id": str(place.broker_id),
        "zookeeper.connect": f"127.0.0.1:{zookeeper}",
        # On a busy machine a ZooKeeper that was started with it answers late.
        "zookeeper.connection.timeout.ms": "90000",
        **_listening(place, place.security, []),
        **_common(place, brokers),
    }


def _listening(place: Place, protocols: Mapping[str, str], more: list[str]) -> dict[str, str]:
    bound = {name: f"{name}://127.0.0.1:{port}" for name, port in place.listeners.items()}
    advertised = {n: f"{n}://127.0.0.1:{port}" for n, port in place.advertised_ports.items()}
    return {
        "listeners": ",".join([*bound.values(), *more]),
        "advertised.listeners": ",".join((bound | advertised).values()),
        "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
        "inter.broker.listener.name": "PLAINTEXT",
    }


def _common(place: Place, brokers: int) -> dict[str, str]:
    replicas = str(min(3, brokers))
    return {
        "log.dirs": str(place.log_dir),
        # Groups form at once, and notice a member that died within seconds.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "group.consumer.heartbeat.interval.ms": "500",
        "group.consumer.min.heartbeat.interval.ms": "100",
        "group.consumer.min.session.timeout.ms": "1000",
        # Few internal partitions; they go on with one replica left.
        "offsets.topic.num.partitions": "3",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
        # What a 256 MB heap and two cores can bear; each of them wakes three times a second for nothing.
        "num.network.threads": "1",
        "num.io.threads": "2",
        "group.coordinator.threads": "1",
        "share.coordinator.threads": "1",
        # Who stands idle asks its leaders once a second instead of twice.
        "replica.fetch.wait.max.ms": "1000",
        "background.threads": "2",
        "log.cleaner.dedupe.buffer.size": str(4 << 20),
    }


def zookeeper_config(port: int, directory: Path) -> dict[str, str]:
    """The zoo.cfg of a ZooKeeper of its own."""
    return {
        "clientPort": str(port),
        "clientPortAddress": "127.0.0.1",
        "dataDir": str(directory),
        "maxClientCnxns": "0",
        "tickTime": "1000",
        "admin.enableServer": "false",
    }
