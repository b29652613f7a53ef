"""Samples of nodes, and what they say of the whole cluster."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from operators.collect.samples import SampleIdentity, cluster_part, collected_batch
from operators.collect.values import whole
from operators.rabbitmq.api import DISK, MEMORY, Alarms
from operators.rabbitmq.detailed import values_of
from operators.schema.guid import node_name
from operators.schema.metrics import NODE
from operators.ticks import Collected

FIELDS = {
    "node.totalMemoryUsedInBytes": "mem_used",
    "node.memoryLimitInBytes": "mem_limit",
    "node.hostMemoryAlarm": "mem_alarm",
    "node.diskSpaceFreeInBytes": "disk_free",
    "node.diskSpaceLimitInBytes": "disk_free_limit",
    "node.diskAlarm": "disk_free_alarm",
    "node.fileDescriptorsTotalUsed": "fd_used",
    "node.fileDescriptorsLimit": "fd_total",
    "node.fileDescriptorsUsedSockets": "sockets_used",
    "node.fileDescriptorsTotalSockets": "sockets_total",
    "node.processesUsed": "proc_used",
    "node.processesLimit": "proc_total",
    "node.averageErlangProcessesWaiting": "run_queue",
}
"""By column: the API's field. One that is not reported, or is no number, is null."""

_SOCKETS = ("node.fileDescriptorsUsedSockets", "node.fileDescriptorsTotalSockets")

COLUMNS = ",".join(["name", "running", "uptime", "partitions", *FIELDS.values()])
"""The fields that are asked for."""

_ON_PAGES = {
    "process_resident_memory_bytes": "mem_used",
    "resident_memory_limit_bytes": "mem_limit",
    "disk_space_available_bytes": "disk_free",
    "disk_space_available_limit_bytes": "disk_free_limit",
    "process_open_fds": "fd_used",
    "process_max_fds": "fd_total",
    "process_open_tcp_sockets": "sockets_used",
    "process_max_tcp_sockets": "sockets_total",
    "erlang_processes_used": "proc_used",
    "erlang_processes_limit": "proc_total",
    "erlang_scheduler_run_queue": "run_queue",
}
"""The API's field by the Prometheus plugin's metric."""


def of_page(text: str) -> dict[str, Any]:
    """What a node's own page says of it, as the API calls it. Alarms and partitions are not on it."""
    reported = values_of(text, [*_ON_PAGES, "erlang_uptime_seconds"])
    node: dict[str, Any] = {_ON_PAGES[m]: v for m, v in reported.items() if m in _ON_PAGES}
    if "erlang_uptime_seconds" in reported:
        node["uptime"] = round(reported["erlang_uptime_seconds"] * 1000)
    return node


def with_alarms(node: Mapping[str, Any], name: str, alarms: Alarms | None) -> Mapping[str, Any]:
    """A node with the alarms that it has raised, where it is known which there are."""
    if alarms is None:
        return node
    raised = {field: (name, of) in alarms for field, of in _ALARMS.items()}
    return {**node, **raised}


_ALARMS = {"mem_alarm": MEMORY, "disk_free_alarm": DISK}


def node_samples(
    identity: SampleIdentity,
    tick: int,
    nodes: Sequence[Mapping[str, Any]],
    overview: Mapping[str, Any],
    silent: Collection[str] = (),
) -> Collected:
    """One NODE row for each node that the cluster knows, and the CLUSTER columns that they give.

    A node that does not run has `node.running` 0 and all else null, but from which nodes it is cut off:
    one that is counts as one that does not run, and reports it all the same. One that is `silent`, so that
    it is not known whether it runs, has no row.
    """
    known = sorted(nodes, key=lambda node: str(node["name"]))
    reported = [node for node in known if node["name"] not in silent]
    names = [str(node["name"]) for node in reported]
    running = [bool(node.get("running")) for node in reported]
    live = [node if runs else {} for node, runs in zip(reported, running, strict=True)]
    columns: dict[str, Any] = {
        column: [whole(node.get(field)) for node in live] for column, field in FIELDS.items()
    }
    # From RabbitMQ 4 on sockets are not counted, and both are 0.
    counted = [bool(total) for total in columns[_SOCKETS[1]]]
    for column in _SOCKETS:
        columns[column] = [
            n if of else None for n, of in zip(columns[column], counted, strict=True)
        ]
    seen = [
        _cut_off(node.get("partitions"), runs) for node, runs in zip(reported, running, strict=True)
    ]
    uptimes = [whole(node.get("uptime")) for node in live]
    rows = collected_batch(
        identity,
        tick,
        NODE,
        [(node_name(name),) for name in names],
        [node_name(name) for name in names],
        {
            "node": names,
            "node.running": [int(runs) for runs in running],
            **columns,
            "node.partitionsSeen": seen,
            "node.uptime": [None if ms is None else ms / 1000 for ms in uptimes],
        },
    )
    alarms = [*columns["node.hostMemoryAlarm"], *columns["node.diskAlarm"]]
    totals = overview.get("object_totals") or {}
    cluster = cluster_part(
        identity,
        tick,
        {
            "cluster.nodeCount": len(known),
            "cluster.runningNodeCount": None if silent else sum(running),
            "cluster.alarmCount": _sum(alarms),
            "cluster.partitionedNodeCount": _sum(
                [None if cut is None else cut > 0 for cut in seen]
            ),
            "cluster.connectionCount": whole(totals.get("connections")),
            "cluster.channelCount": whole(totals.get("channels")),
        },
    )
    return Collected((rows, cluster))


def _cut_off(partitions: Any, runs: bool) -> int | None:
    """How many nodes one is cut off from; of one that is dead it is not known."""
    known = isinstance(partitions, list) and (runs or partitions)
    return len(partitions) if known else None


def _sum(values: Sequence[int | None]) -> int | None:
    """What is known, added up; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
