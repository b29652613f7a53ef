"""The New Relic sink."""

from collections.abc import Mapping
from functools import partial

import pyarrow as pa

from operators.schema.arrow import Only
from sinks.delivery import Destination
from sinks.job import JobContext
from sinks.newrelic.settings import NAME, NewRelicSettings, Shape
from sinks.sink import EventPoster, PoolEventOffer, Sink, Size
from sinks.spool.network import NetworkSink, network_sink


def newrelic_sink(settings: NewRelicSettings) -> Sink:
    """Events, metrics or both to one account."""

    def destination(job: JobContext) -> Destination:
        from sinks.newrelic.destination import NewRelic

        return NewRelic(settings, known_account(job.account_id), job.interval)

    def probed(job: JobContext) -> str:
        from sinks.newrelic.probe import probe

        return probe(settings, known_account(job.account_id))

    def poster(account_id: int | None) -> EventPoster:
        from sinks.newrelic.poster import NewRelicPoster

        return NewRelicPoster(settings, known_account(account_id))

    wanted = settings.pool_events
    return network_sink(
        NetworkSink(
            NAME,
            str(settings.region),
            settings.spool,
            destination,
            probed,
            size_of=lambda batch: _size(settings.shape, batch).bytes,
            shapes={_SHAPES[shape]: partial(_size, shape) for shape in (None, *Shape)},
            require=settings.read_license_key,
            takes_only=_TAKES[settings.shape],
            pool_events=None if wanted is None else PoolEventOffer(wanted == "all", poster),
        )
    )


def known_account(account_id: int | None) -> int:
    """The job's account.

    Raises:
        ValueError: it has none.
    """
    if account_id is None:
        raise ValueError("New Relic needs `account_id`")
    return account_id


_SHAPES: Mapping[Shape | None, str] = {
    None: "by default",
    **{shape: f"shape: {shape}" for shape in Shape},
}

_TAKES: Mapping[Shape | None, frozenset[Only]] = {
    Shape.EVENTS: frozenset({Only.EVENTS}),
    Shape.METRICS: frozenset({Only.POINTS}),
    Shape.BOTH: frozenset(Only),
    None: frozenset(Only),
}

_INTERVAL = 30_000
"""Of counts, in ms: their size does not depend on it."""


def _size(shape: Shape | None, batch: pa.RecordBatch) -> Size:
    """What a batch becomes in a shape."""
    from operators.schema.arrow import only
    from sinks.newrelic.destination import EVENTS, ROUTES, goes_by
    from sinks.newrelic.encode import events, metric_blocks, point_count
    from sinks.newrelic.payloads import payloads

    size = points = 0
    for route in ROUTES[shape]:
        if not goes_by(route, only(batch)):
            continue
        if route == EVENTS:
            rows = events(batch)
        else:
            rows, _ = metric_blocks(batch, _INTERVAL, known_only=shape is None)
            points += point_count(batch, known_only=shape is None)
        size += sum(len(payload.body) for payload in payloads(rows))
    return Size(size, points)
