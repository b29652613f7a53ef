"""The server.properties of the tests' brokers: small, and quick to start and to notice."""

from collections.abc import Mapping
from pathlib import Path


def broker_settings(
    broker_id: int,
    listeners: Mapping[str, int],
    security: Mapping[str, str],
    controllers: Mapping[int, int],
    log_dir: Path,
    advertised_ports: Mapping[str, int],
) -> dict[str, str]:
    """Settings of one process that is broker and controller.

    `listeners` maps a listener's name to its port and `security` to its protocol; the listener
    `PLAINTEXT` is the one between brokers. `controllers` maps every node's id to its
    controller's port. Clients are told `advertised_ports`, where a listener has one, instead of
    its own.
    """
    bound = {name: f"{name}://127.0.0.1:{port}" for name, port in listeners.items()}
    advertised = bound | {n: f"{n}://127.0.0.1:{port}" for n, port in advertised_ports.items()}
    controller = f"CONTROLLER://127.0.0.1:{controllers[broker_id]}"
    protocols = {"CONTROLLER": "PLAINTEXT", **security}
    replicas = str(min(3, len(controllers)))
    return {
        "process.roles": "broker,controller",
        "node.id": str(broker_id),
        "log.dirs": str(log_dir),
        "listeners": ",".join([*bound.values(), controller]),
        "advertised.listeners": ",".join(advertised.values()),
        "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": ",".join(
            f"{node}@127.0.0.1:{port}" for node, port in controllers.items()
        ),
        # A killed broker is out after 4 s instead of 9, a first controller elected sooner.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        "controller.quorum.election.timeout.ms": "500",
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
        # What a 256 MB heap and two cores can bear.
        "num.network.threads": "2",
        "num.io.threads": "2",
        "background.threads": "2",
        "log.cleaner.dedupe.buffer.size": str(4 << 20),
    }
