"""Samples of queues, whatever they were read by."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from operators.collect.samples import SampleIdentity, cluster_part, collected_batch
from operators.collect.values import whole
from operators.rabbitmq.detailed import (
    ACKNOWLEDGED,
    DELIVERED,
    GAUGES,
    PUBLISHED,
    REDELIVERED,
    Queue,
)
from operators.rabbitmq.measures import (
    Counters,
    dead_letters_batch,
    present_batch,
    read_batch,
    tallies_batch,
)
from operators.schema.guid import entity_path
from operators.schema.metrics import QUEUE
from operators.schema.rabbitmq import UNUSABLE, path_of
from operators.ticks import Collected

HEAD = "head"
_WHOLE = [column for column in GAUGES.values() if column not in (HEAD, "queue.consumerCapacity")]

LISTED = "name,vhost,type,state,node,leader,members,online"
"""The API's fields that say what a queue is."""

_FIELDS = {
    "queue.depth": "messages",
    "queue.messagesReady": "messages_ready",
    "queue.messagesUnacknowledged": "messages_unacknowledged",
    "queue.consumers": "consumers",
    "queue.consumerCapacity": "consumer_capacity",
    "queue.messageBytes": "message_bytes",
    "queue.memory": "memory",
    HEAD: "head_message_timestamp",
}
_COUNTERS = {
    PUBLISHED: "publish",
    DELIVERED: "deliver_get",
    ACKNOWLEDGED: "ack",
    REDELIVERED: "redeliver",
}
MEASURED = ",".join(
    [LISTED, *_FIELDS.values(), *(f"message_stats.{name}" for name in _COUNTERS.values())]
)
"""The API's fields that say what it holds, too."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a queue is."""

    type: str | None = None
    state: str | None = None
    leader: str | None = None
    members: int | None = None
    online: int | None = None


@dataclass(slots=True)
class Read:
    """What was read of a cluster's queues."""

    gauges: dict[str, dict[Queue, float]] = field(default_factory=dict)
    """Values by column, and `head`: the time (s) of the first message, where its publisher gave one."""
    counters: dict[str, Counters] = field(default_factory=dict)
    """By the place that they were read at: a node, or the API (`""`)."""
    at: dict[str, int] = field(default_factory=dict)
    """When that was (ms)."""
    listed: Mapping[Queue, Listed] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    """Nodes that run and were not read: their queues are not known."""
    dead_lettered: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    """By node that runs: when (ms), and messages dead-lettered since it started; empty where that was not
    asked for."""


def listing(answer: Sequence[Mapping[str, Any]], running: Collection[str]) -> dict[Queue, Listed]:
    """What the API's queues are, while these nodes run."""
    return {
        (str(queue["vhost"]), str(queue["name"])): _as_it_stands(
            Listed(
                _word(queue.get("type")),
                _state(queue.get("state")),
                _word(queue.get("leader") or queue.get("node")),
                _count(queue.get("members")),
                _count(queue.get("online")),
            ),
            running,
        )
        for queue in answer
    }


def _as_it_stands(queue: Listed, running: Collection[str]) -> Listed:
    """What has lost its leader and most of its members is still called `live` by RabbitMQ."""
    if queue.state not in (None, "running"):
        return queue
    if queue.type == "quorum" and queue.members and 2 * (queue.online or 0) <= queue.members:
        return replace(queue, state="minority")
    if queue.type == "stream" and queue.leader is not None and queue.leader not in running:
        return replace(queue, state="down")
    return queue


def measured(answer: Sequence[Mapping[str, Any]], at: int, running: Collection[str]) -> Read:
    """What the API says of queues, with all of MEASURED, at `at` (ms), while these nodes run."""
    gauges: dict[str, dict[Queue, float]] = {column: {} for column in _FIELDS}
    counters: dict[tuple[str, Queue, str], int] = {}
    for queue in answer:
        name = (str(queue["vhost"]), str(queue["name"]))
        for column, reported in _FIELDS.items():
            value = queue.get(reported)
            if isinstance(value, int | float) and not isinstance(value, bool):
                gauges[column][name] = value
        stats = queue.get("message_stats") or {}
        for counter, reported in _COUNTERS.items():
            count = whole(stats.get(reported))
            if count is not None:
                counters["", name, counter] = count
    return Read(gauges, {"": counters}, {"": at}, listing(answer, running))


def queue_samples(
    identity: SampleIdentity, tick: int, read: Read, queues: Collection[Queue], now: int
) -> Collected:
    """One QUEUE row for each of `queues`, and the CLUSTER columns that they give; `now` in ms.

    `queue.oldestMessageAge` is that of the first message by its publisher's own time: null where that
    gave none, and 0 where the queue is empty. What was not read is null, of the cluster too.
    """
    names = sorted(queues)
    paths = [path_of(*name) for name in names]
    listed = [read.listed.get(name, Listed()) for name in names]
    columns: dict[str, list[float | None]] = {
        column: _reported(read.gauges.get(column, {}), names, column in _WHOLE)
        for column in GAUGES.values()
    }
    heads, depths = columns.pop(HEAD), columns["queue.depth"]
    rows = collected_batch(
        identity,
        tick,
        QUEUE,
        paths,
        [entity_path(*path) for path in paths],
        {
            "queue": [name for _, name in names],
            "vhost": [vhost for vhost, _ in names],
            **columns,
            "queue.oldestMessageAge": [
                _age(depth, head, now) for depth, head in zip(depths, heads, strict=True)
            ],
            "queue.type": [of.type for of in listed],
            "queue.state": [of.state for of in listed],
            "queue.leader": [of.leader for of in listed],
            "queue.members": [of.members for of in listed],
            "queue.membersOnline": [of.online for of in listed],
        },
    )
    known = not read.missing
    states = [of.state for of in listed]
    down = sum(state in UNUSABLE for state in states)
    cluster = cluster_part(
        identity,
        tick,
        {
            "cluster.queueCount": len(names) if known else None,
            "cluster.totalLag": _sum(depths) if known else None,
            "cluster.consumerCount": _sum(columns["queue.consumers"]) if known else None,
            "cluster.availability": 100 * (1 - down / len(names))
            if known and names and all(states)
            else None,
        },
    )
    raw = {
        "tallies": tallies_batch(_of(read.counters, queues)),
        "read": read_batch(read.at),
        "present": present_batch(names),
        "dead_letters": dead_letters_batch(read.dead_lettered),
    }
    return Collected((rows, cluster), raw)


def _of(counters: Mapping[str, Counters], queues: Collection[Queue]) -> dict[str, Counters]:
    """The counters of these queues alone."""
    there = frozenset(queues)
    return {
        node: {key: value for key, value in of.items() if key[1] in there}
        for node, of in counters.items()
    }


def _reported(values: Mapping[Queue, float], names: Sequence[Queue], is_whole: bool) -> list[Any]:
    found = [values.get(name) for name in names]
    # A number that is not known is NaN on a page.
    known = [None if value is None or value != value else value for value in found]
    return [None if v is None else int(v) for v in known] if is_whole else known


def _age(depth: float | None, head: float | None, now: int) -> float | None:
    if depth == 0:
        return 0.0
    return max(0.0, now / 1000 - head) if head else None


def _sum(values: Sequence[float | None]) -> int | None:
    """What is known, added up; None where there are queues, and nothing is known of any."""
    known = [value for value in values if value is not None]
    return None if values and not known else int(sum(known))


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _state(value: Any) -> str | None:
    # Without statistics the API says `live` of what it calls `running` with them.
    return "running" if value == "live" else _word(value)


def _count(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None
