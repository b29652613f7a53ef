"""Samples of servers, and what they say of the whole cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.collect.samples import SampleIdentity, cluster_part, collected_batch
from operators.collect.values import below, listed, milliseconds, number, whole, word
from operators.derive.totals import totals_batch
from operators.nats.monitor import Json, Report
from operators.schema.guid import entity_path, node_name
from operators.schema.metrics import NODE
from operators.ticks import Collected

UNHEARD = 10_000_000_000
"""Nanoseconds after which a server of which its leader heard nothing counts as down, as in NATS' own Raft."""

_WHOLE: Mapping[str, Sequence[str]] = {
    "node.totalMemoryUsedInBytes": ("mem",),
    "node.connections": ("connections",),
    "node.connectionsLimit": ("max_connections",),
    "node.subscriptions": ("subscriptions",),
}
_OF_JETSTREAM: Mapping[str, Sequence[str]] = {
    "node.fileStoreUsedInBytes": ("storage",),
    "node.fileStoreLimitInBytes": ("config", "max_storage"),
    "node.memoryStoreUsedInBytes": ("memory",),
    "node.memoryStoreLimitInBytes": ("config", "max_memory"),
}
_REPORTED = (
    *_WHOLE,
    *_OF_JETSTREAM,
    "node.cpuUsage",
    "node.isHealthy",
    "node.isLeader",
    "node.uptime",
)
_COUNTERS: Mapping[str, str] = {
    "node.messagesInPerSecond": "in_msgs",
    "node.messagesOutPerSecond": "out_msgs",
    "node.bytesInPerSecond": "in_bytes",
    "node.bytesOutPerSecond": "out_bytes",
    "node.slowConsumers": "slow_consumers",
}


@dataclass(frozen=True, slots=True)
class NatsServer:
    """What a server reports of itself."""

    report: Report
    jetstream: Json | None
    """None where its JetStream was not read."""
    healthy: bool | None

    @property
    def stores(self) -> Json:
        """What its JetStream says; nothing where it is off."""
        return {} if self.jetstream is None or self.jetstream.get("disabled") else self.jetstream


@dataclass(frozen=True, slots=True)
class Members:
    """Whom the servers' JetStreams know: names, each with whether it is up, None where nobody can say."""

    up: Mapping[str, bool | None]
    leader: str | None
    """The meta leader; None where there is none, or the servers make no cluster."""
    clustered: bool


def members_of(servers: Sequence[NatsServer]) -> Members:
    """What the meta leader says of all; of what it cannot say those that answer are up."""
    up: dict[str, bool | None] = {server.report.server: True for server in servers}
    leader: str | None = None
    clustered = False
    for server in servers:
        meta = below(server.stores, "meta_cluster")
        clustered |= isinstance(meta, Mapping)
        leads = word(below(meta, "leader")) == server.report.server
        if leads:
            leader = server.report.server
        for name, heard in _replicas(meta, leads):
            if up.get(name) is None:
                up[name] = heard
    return Members(up, leader, clustered)


def _replicas(meta: Any, leads: bool) -> Iterator[tuple[str, bool | None]]:
    for peer in listed(below(meta, "replicas")):
        name = word(below(peer, "name"))
        if name is not None:
            # Of one that it never heard of, the leader knows no name.
            yield name, None if not leads else heard(peer)


def heard(peer: Any) -> bool:
    """Whether a leader has heard of a member of its group: of one that never was heard `active` is 0."""
    silent = whole(below(peer, "active")) or 0
    known = silent > 0 or below(peer, "current") is True
    return not below(peer, "offline") and known and silent < UNHEARD


def node_samples(
    identity: SampleIdentity, tick: int, servers: Sequence[NatsServer], *, complete: bool
) -> Collected:
    """One NODE row for each server that is known to be up or down, and the CLUSTER columns that they give.

    One that is down has `node.running` 0 and all else null. One that does not answer and is not said to
    be down has no row. `complete` says that all were read.
    """
    members = members_of(servers)
    by_name = {server.report.server: server for server in servers}
    names = sorted(name for name, up in members.up.items() if name in by_name or up is False)
    reported = [_metrics(by_name[name], members) if name in by_name else {} for name in names]
    rows = collected_batch(
        identity,
        tick,
        NODE,
        [(node_name(name),) for name in names],
        [node_name(name) for name in names],
        {
            "node": names,
            "node.running": [int(name in by_name) for name in names],
            **{column: [of.get(column) for of in reported] for column in _REPORTED},
        },
    )
    known = complete or all(up is not None for up in members.up.values())
    connections = [whole(server.report.page.get("connections")) for server in servers]
    cluster = cluster_part(
        identity,
        tick,
        {
            "cluster.nodeCount": len(members.up),
            "cluster.runningNodeCount": len(servers) if known else None,
            "cluster.connectionCount": sum(filter(None, connections)) if known else None,
            "cluster.activeControllerCount": int(members.leader is not None)
            if members.clustered and (known or members.leader is not None)
            else None,
        },
    )
    counters = [row for server in servers for row in _counters(identity.cluster, server)]
    return Collected((rows, cluster), {"totals": totals_batch(counters)})


def _metrics(server: NatsServer, members: Members) -> dict[str, float | int | None]:
    """What a server reports of itself, by column."""
    page = server.report.page
    leads = server.report.server == members.leader
    return {
        **{column: whole(below(page, *keys)) for column, keys in _WHOLE.items()},
        **{column: _limit(below(server.stores, *keys)) for column, keys in _OF_JETSTREAM.items()},
        "node.cpuUsage": number(page.get("cpu")),
        "node.isHealthy": None if server.healthy is None else int(server.healthy),
        "node.isLeader": int(leads) if members.clustered else None,
        "node.uptime": _uptime(page),
    }


def _counters(cluster: str, server: NatsServer) -> Iterator[tuple[str, str, str, int, int]]:
    entity = entity_path(cluster, node_name(server.report.server))
    page, at = server.report.page, server.report.at
    values = {column: page.get(key) for column, key in _COUNTERS.items()}
    values["node.apiErrors"] = below(server.stores, "api", "errors")
    for column, value in values.items():
        count = whole(value)
        if count is not None:
            yield entity, column, str(page["start"]), count, at


def _uptime(page: Json) -> float | None:
    now, start = milliseconds(page.get("now")), milliseconds(page.get("start"))
    return None if now is None or start is None else max(0.0, (now - start) / 1000)


def _limit(value: Any) -> int | None:
    """Bytes; None for no limit, which is written as a negative number, or unsigned."""
    found = whole(value)
    return found if found is not None and found >= 0 else None
