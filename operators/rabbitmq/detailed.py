"""Pages of RabbitMQ's Prometheus plugin, taken apart: `/metrics/detailed?family=…`, and `/metrics`.

All series of one metric stand together, each on a line of its own with its labels in one order, so that
a metric is found by one search, and what is not wanted is passed over. RabbitMQ 3.10 does not escape
what stands in labels, `"` among it: so they are split by what stands between them, and not by quotes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field

QUEUES = ("queue_coarse_metrics", "queue_metrics")
"""Families with a series a queue. The second has all that a queue reports, some thirty numbers."""
BRIEF = ("queue_coarse_metrics", "queue_consumer_count")
"""Families that have the most needed of it, for a tenth of the price."""
DETAILED = ("queue_metrics",)
"""The family that has the rest, DETAILS."""
COUNTERS = (
    "channel_queue_metrics",
    "channel_queue_exchange_metrics",
    "queue_delivery_metrics",
    "queue_exchange_metrics",
)
"""Families with the counters of channels and queues, and of queues alone."""
NODES = ("node_coarse_metrics", "node_metrics")
"""Families of the node itself. Its page has them at once, whatever other nodes do."""

_METRIC = "rabbitmq_detailed_"

GAUGES = {
    "queue_messages": "queue.depth",
    "queue_messages_ready": "queue.messagesReady",
    "queue_messages_unacked": "queue.messagesUnacknowledged",
    "queue_consumers": "queue.consumers",
    "queue_consumer_capacity": "queue.consumerCapacity",
    "queue_messages_bytes": "queue.messageBytes",
    "queue_process_memory_bytes": "queue.memory",
    "queue_head_message_timestamp": "head",
}
"""Columns, and the `head` message's own time (s), by the metric that reports them."""

DETAILS = ("queue.consumerCapacity", "queue.messageBytes", "queue.memory", "head")
"""What BRIEF does not report."""

PUBLISHED, DELIVERED, ACKNOWLEDGED, REDELIVERED = "published", "delivered", "acked", "redelivered"
"""Counters of a queue."""

_OF_CHANNELS = {
    "channel_get_ack_total": DELIVERED,
    "channel_get_total": DELIVERED,
    "channel_messages_delivered_ack_total": DELIVERED,
    "channel_messages_delivered_total": DELIVERED,
    "channel_messages_acked_total": ACKNOWLEDGED,
    "channel_messages_redelivered_total": REDELIVERED,
    "queue_messages_published_total": PUBLISHED,
}
_OF_QUEUES = {
    "queue_get_ack_total": DELIVERED,
    "queue_get_total": DELIVERED,
    "queue_messages_delivered_ack_total": DELIVERED,
    "queue_messages_delivered_total": DELIVERED,
    "queue_messages_acked_total": ACKNOWLEDGED,
    "queue_messages_redelivered_total": REDELIVERED,
    "queue_exchange_messages_published_total": PUBLISHED,
}
"""From RabbitMQ 3.13 on."""
Queue = tuple[str, str]
"""Virtual host and name."""

_CHANNEL = re.compile(r'channel="([^"]*)",')
_DEAD_LETTERED = re.compile(
    r"^rabbitmq_global_messages_dead_lettered_(?:rejected|expired|maxlen|delivery_limit)_total"
    r'\{[^}]*dead_letter_strategy="at_(?:most|least)_once"[^}]*\} (\d+)',
    re.M,
)
"""What has no dead-letter exchange is counted too, as `disabled`, and confirmed ones once more."""
_IDENTITY = re.compile(
    r'^rabbitmq_identity_info\{.*rabbitmq_node="([^"]*)".*'
    r'rabbitmq_cluster_permanent_id="([^"]*)"',
    re.M,
)


@dataclass(slots=True)
class QueuesPage:
    """What a node's page says of the queues whose leader is on it."""

    gauges: dict[str, dict[Queue, float]] = field(default_factory=dict)
    """Values by column."""
    counters: dict[tuple[str, Queue, str], int] = field(default_factory=dict)
    """By channel, queue and counter; where queues count themselves the channel is `""`."""

    def count(
        self,
        channel: str,
        labels: str,
        counter: str,
        value: float,
        reported: Set[tuple[Queue, str]] = frozenset(),
    ) -> None:
        """Add a series' value, but to a counter of a queue that is `reported` already."""
        queue = _queue(labels)
        if queue is not None and (queue, counter) not in reported:
            key = (channel, queue, counter)
            self.counters[key] = self.counters.get(key, 0) + int(value)

    @property
    def queues(self) -> Mapping[Queue, float]:
        """The queues that it reports, by the number of their messages."""
        return self.gauges.get("queue.depth", {})


def parse_page(text: str) -> QueuesPage:
    """What a page says; what on it is no series of a queue is passed over."""
    page = QueuesPage(_gauges(text, GAUGES))
    for metric, counter in _OF_QUEUES.items():
        for labels, value in _lines(text, metric):
            page.count("", labels, counter, value)
    # Where the queue itself counts, its channels would be counted twice.
    reported = {(queue, counter) for _, queue, counter in page.counters}
    for metric, counter in _OF_CHANNELS.items():
        for labels, value in _lines(text, metric):
            channel = _CHANNEL.match(labels)
            if channel is not None:
                page.count(channel[1], labels[channel.end() :], counter, value, reported)
    return page


def details_of(text: str) -> dict[str, dict[Queue, float]]:
    """What a page of DETAILED says, by DETAILS' columns."""
    return _gauges(text, {m: column for m, column in GAUGES.items() if column in DETAILS})


def _gauges(text: str, columns: Mapping[str, str]) -> dict[str, dict[Queue, float]]:
    """Values by column, of these metrics."""
    gauges: dict[str, dict[Queue, float]] = {}
    split: dict[str, Queue | None] = {}
    for metric, column in columns.items():
        values = gauges.setdefault(column, {})
        for labels, value in _lines(text, metric):
            if labels not in split:
                split[labels] = _queue(labels)
            queue = split[labels]
            if queue is not None:
                values[queue] = value
    return gauges


def _lines(text: str, metric: str) -> Iterator[tuple[str, float]]:
    """Labels and values of a metric's series that have labels."""
    start = f"\n{_METRIC}{metric}{{"
    at = text.find(start)
    if at < 0:
        return
    # The next metric begins with a comment; no name of a queue reaches over a line.
    end = text.find("\n#", at)
    for line in text[at : end if end >= 0 else len(text)].split(start)[1:]:
        labels, _, value = line.rpartition("} ")
        try:
            yield labels, float(value)
        except ValueError:
            continue


def identity_of(text: str) -> tuple[str | None, str | None]:
    """What the node whose page it is calls itself, and the cluster's id; each None where it is not reported."""
    # It stands near the end.
    found = _IDENTITY.search(text, max(0, text.rfind("\nrabbitmq_identity_info{")))
    return (found[1], found[2] or None) if found else (None, None)


def values_of(text: str, metrics: Iterable[str]) -> dict[str, float]:
    """The values of metrics without labels that are on a page."""
    found = {}
    for metric in metrics:
        _, there, rest = text.partition(f"\n{_METRIC}{metric} ")
        with suppress(ValueError):
            if there:
                found[metric] = float(rest.partition("\n")[0])
    return found


def dead_lettered(text: str) -> int | None:
    """How many messages a node's queues have dead-lettered since it started, by its page `/metrics`.

    Of all reasons and types of queue; None where it counts none, as before RabbitMQ 3.10.
    """
    counts = _DEAD_LETTERED.findall(text)
    return sum(map(int, counts)) if counts else None


def has_series_by_queue(text: str) -> bool:
    """Whether `/metrics` has series by queue (`prometheus.return_per_object_metrics`)."""
    return "\nrabbitmq_queue_messages{" in text


def _queue(labels: str) -> Queue | None:
    """The queue of `vhost="…",queue="…"`, as it stands there; an exchange may follow, or stand between."""
    labels, _, _ = labels.partition('",exchange_vhost="')
    vhost, found, queue = labels.partition('",queue="')
    vhost, _, _ = vhost.rpartition('vhost="')[2].partition('",exchange="')
    return (vhost, queue.removesuffix('"')) if found else None


def unescaped(queue: Queue) -> Queue:
    """A queue whose labels were escaped, as Prometheus asks, and later versions may do."""
    vhost, name = (
        part.replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n").replace("\0", "\\")
        for part in queue
    )
    return vhost, name
