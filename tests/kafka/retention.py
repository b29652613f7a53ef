"""Settings of brokers that soon remove messages, or keep them elsewhere."""

from pathlib import Path

from tests.kafka.jars import tiered_jar

CHECK = 1.0
"""Seconds between two looks for what is too old, where `EAGER` are a broker's settings."""

_MS = str(round(CHECK * 1e3))

EAGER = {"log.retention.check.interval.ms": _MS, "log.initial.task.delay.ms": _MS}


def remote_storage(directory: Path) -> dict[str, str]:
    """Kafka's own LocalTieredStorage in a directory, to which segments are copied at once.

    Only topics with `remote.storage.enable` have it.

    Raises:
        MissingToolError, UnresolvedJarsError: as `tiered_jar` does.
    """
    return {
        "remote.log.storage.system.enable": "true",
        "remote.log.storage.manager.class.name": STORAGE,
        "remote.log.storage.manager.class.path": str(tiered_jar()),
        "remote.log.metadata.manager.listener.name": "PLAINTEXT",
        "remote.log.manager.task.interval.ms": "500",
        "rsm.config.dir": str(directory),
        "rlmm.config.remote.log.metadata.topic.num.partitions": "1",
        "rlmm.config.remote.log.metadata.topic.replication.factor": "1",
    }


STORAGE = "org.apache.kafka.server.log.remote.storage.LocalTieredStorage"
