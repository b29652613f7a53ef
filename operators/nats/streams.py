"""Samples of streams and of their consumers, from what each server reports of its replicas.

Only a leader knows: of a consumer that it does not lead a server says that nothing is pending, and that
other replicas lag. So each stream and each consumer is reported by the server that leads it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from operators.collect.samples import SampleIdentity, cluster_part, collected_batch
from operators.collect.values import below, listed, milliseconds, whole, word
from operators.derive.totals import totals_batch
from operators.nats.monitor import Json, Report
from operators.nats.servers import heard
from operators.schema.guid import entity_path
from operators.schema.metrics import QUEUE
from operators.schema.nats import path_of
from operators.ticks import Collected

STREAM, CONSUMER = "stream", "consumer"
"""Types of queue."""

DOWN = frozenset({"down", "minority"})
"""States in which nobody can use one."""

_NONE_KEPT = frozenset({"workqueue", "interest"})
"""Retentions by which a message goes once it is acknowledged: the first that is there waits."""


@dataclass(slots=True)
class Found:
    """One stream or consumer, as each server that has a replica of it reports it."""

    path: tuple[str, ...]
    type: str
    reports: list[Report] = field(default_factory=list)


def found_in(
    accounts: Mapping[str, tuple[Sequence[Json], int]],
) -> dict[tuple[str, ...], Found]:
    """All streams and consumers by account and names; `accounts` are each server's, and when they were read."""
    found: dict[tuple[str, ...], Found] = {}

    def add(type_: str, key: tuple[str, ...], report: Report) -> None:
        if key not in found:
            found[key] = Found(path_of(*key), type_)
        found[key].reports.append(report)

    ids: dict[str, set[str]] = {}
    for of, _ in accounts.values():
        for account in of:
            ids.setdefault(str(account["name"]), set()).add(str(account.get("id")))
    for server, (of, at) in accounts.items():
        for account in of:
            name = str(account["name"])
            # Names are what is written in accounts' tokens: two may have one.
            named = name if len(ids[name]) == 1 else str(account["id"])
            for stream in account.get("stream_detail") or ():
                key = (named, str(stream["name"]))
                add(STREAM, key, Report(server, stream, at))
                for consumer in stream.get("consumer_detail") or ():
                    add(CONSUMER, (*key, str(consumer["name"])), Report(server, consumer, at))
    return found


def queue_samples(
    identity: SampleIdentity,
    tick: int,
    queues: Sequence[Found],
    answered: Collection[str],
    *,
    complete: bool,
) -> Collected:
    """One QUEUE row for each stream and each consumer, and the CLUSTER columns that they give.

    One whose leader did not answer has no row. One that has no leader has its type, its state and its
    members alone. `answered` are the servers that did, `complete` says that these are all.
    """
    found = [
        (queue, leading(queue.reports)) for queue in sorted(queues, key=lambda queue: queue.path)
    ]
    rows = [_row(queue, leads, answered) for queue, leads in found if leads or _leaderless(queue)]
    names = [entity_path(*row.path) for row in rows]
    columns = {column: [row.values.get(column) for row in rows] for column in _COLUMNS}
    batch = collected_batch(
        identity, tick, QUEUE, [row.path for row in rows], names, {"queue": names, **columns}
    )
    down = sum(row.values["queue.state"] in DOWN for row in rows)
    consumers = [row for row in rows if row.values["queue.type"] == CONSUMER]
    waiting = [row.values.get("queue.depth") for row in consumers]
    cluster = cluster_part(
        identity,
        tick,
        {
            "cluster.queueCount": len(rows) if complete else None,
            "cluster.consumerCount": len(consumers) if complete else None,
            "cluster.totalLag": sum(filter(None, waiting))
            if complete and not (waiting and all(depth is None for depth in waiting))
            else None,
            "cluster.availability": 100 * (1 - down / len(rows)) if complete and rows else None,
        },
    )
    counters = [
        (
            entity_path(identity.cluster, *queue.path),
            column,
            str(leads.page.get("created")),
            count,
            leads.at,
        )
        for queue, leads in found
        if leads is not None
        for column, count in _counters(queue.type, leads.page)
    ]
    return Collected((batch, cluster), {"totals": totals_batch(counters)})


@dataclass(frozen=True, slots=True)
class _Row:
    path: tuple[str, ...]
    values: Mapping[str, Any]


_COLUMNS = (
    "queue.type", "queue.state", "queue.leader", "queue.members", "queue.membersOnline", "queue.depth",
    "queue.messagesReady", "queue.messagesUnacknowledged", "queue.messagesRedelivered", "queue.consumers",
    "queue.messageBytes", "queue.oldestMessageAge",
)  # fmt: skip


def leading(reports: Sequence[Report]) -> Report | None:
    """What the leader reports; of two that think they are, the one that has come further."""
    leaders = [each for each in reports if _leader(each) == each.server]
    return max(leaders, key=lambda each: _reached(each.page), default=None)


def _leader(report: Report) -> str | None:
    """Whom a server takes for the leader; without a cluster itself."""
    cluster = report.page.get("cluster")
    return report.server if cluster is None else word(below(cluster, "leader"))


def _leaderless(queue: Found) -> bool:
    return all(_leader(each) is None for each in queue.reports)


def _reached(page: Json) -> int:
    last = below(page, "state", "last_seq") or below(page, "delivered", "consumer_seq")
    return whole(last) or 0


def _row(queue: Found, leads: Report | None, answered: Collection[str]) -> _Row:
    known = leads or queue.reports[0]
    others = {
        str(peer["name"]): peer
        for peer in listed(below(known.page, "cluster", "replicas"))
        # Without a leader a server counts itself among the others.
        if word(peer.get("name")) not in (None, known.server)
    }
    members = 1 + len(others)
    up = [
        peer
        for name, peer in others.items()
        if name in answered or (leads is not None and heard(peer))
    ]
    online = 1 + len(up)
    values: dict[str, Any] = {
        "queue.type": queue.type,
        "queue.members": members,
        "queue.membersOnline": online,
    }
    minority = 2 * online <= members
    if leads is None:
        values["queue.state"] = "minority" if minority else "down"
        return _Row(queue.path, values)
    lags = any(peer.get("current") is False for peer in up)
    paused = queue.type == CONSUMER and leads.page.get("paused")
    # A leader that is left alone thinks for a while that it is one.
    standing = "paused" if paused else "lagging" if lags else "running"
    values["queue.state"] = "minority" if minority else standing
    values["queue.leader"] = leads.server
    of = _of_stream if queue.type == STREAM else _of_consumer
    return _Row(queue.path, {**values, **of(leads)})


def _of_stream(leads: Report) -> dict[str, Any]:
    state, retention = leads.page["state"], below(leads.page, "config", "retention")
    messages = whole(state.get("messages"))
    age: float | None = None
    if messages == 0:
        age = 0.0
    elif retention in _NONE_KEPT:
        first = milliseconds(state.get("first_ts"))
        age = None if first is None else max(0.0, (leads.at - first) / 1000)
    return {
        "queue.depth": messages,
        "queue.messagesReady": messages,
        "queue.messageBytes": whole(state.get("bytes")),
        "queue.consumers": whole(state.get("consumer_count")),
        "queue.oldestMessageAge": age,
    }


def _of_consumer(leads: Report) -> dict[str, Any]:
    page = leads.page
    pending, unacknowledged = whole(page.get("num_pending")), whole(page.get("num_ack_pending"))
    depth = None if pending is None or unacknowledged is None else pending + unacknowledged
    return {
        "queue.depth": depth,
        "queue.messagesReady": pending,
        "queue.messagesUnacknowledged": unacknowledged,
        "queue.messagesRedelivered": whole(page.get("num_redelivered")),
        "queue.consumers": _subscribers(page),
        "queue.oldestMessageAge": 0.0 if depth == 0 else None,
    }


def _subscribers(page: Json) -> int | None:
    """Clients to whom a consumer pushes; None where they pull, or are a group: nobody counts them."""
    config = page.get("config")
    if not isinstance(config, Mapping) or not config.get("deliver_subject"):
        return None
    if not page.get("push_bound"):
        return 0
    return None if config.get("deliver_group") else 1


def _counters(type_: str, page: Json) -> Iterator[tuple[str, int]]:
    published = below(page, "state", "last_seq") if type_ == STREAM else None
    delivered, floor = (below(page, key, "consumer_seq") for key in ("delivered", "ack_floor"))
    for column, value in (
        ("queue.messagesInPerSecond", published),
        ("queue.messagesPublished", published),
        ("queue.messagesOutPerSecond", delivered),
        ("queue.messagesDelivered", delivered),
        ("queue.acknowledgedPerSecond", floor),
    ):
        count = whole(value)
        if count is not None:
            yield column, count
