"""Whether New Relic takes what this configuration would send it."""

import asyncio
import gzip
import json

from operators.schema.clock import wall_clock
from sinks.delivery import Parcel, Rejected, RetryLater, TooLarge
from sinks.newrelic.destination import ROUTES, NewRelic
from sinks.newrelic.settings import NewRelicSettings, Shape

PROBE_EVENT = "MqpipeCheckSample"
"""Event type of the one event that a probe leaves behind."""


def probe(settings: NewRelicSettings, account_id: int) -> str:
    """Send one harmless event or point by each route; what was done, in words.

    New Relic checks the key and the shape before it answers; the rest it checks later
    (NrIntegrationError).

    Raises:
        ValueError: the licence key cannot be read.
        OSError: what went wrong, a line a route.
    """
    problems = asyncio.run(_tried(settings, account_id))
    if problems:
        raise OSError("\n".join(problems))
    return "one probe sent"


async def _tried(settings: NewRelicSettings, account_id: int) -> list[str]:
    now = wall_clock()
    bodies = {
        Shape.EVENTS: [{"eventType": PROBE_EVENT, "timestamp": now}],
        Shape.METRICS: [
            {"metrics": [{"name": "mqpipe.check", "type": "gauge", "value": 1, "timestamp": now}]}
        ],
    }
    wanted = {route: bodies[Shape(route)] for route in ROUTES[settings.shape]}
    newrelic = NewRelic(settings, account_id, interval=60_000)
    problems = []
    await newrelic.start()
    try:
        for route, body in wanted.items():
            packed = gzip.compress(json.dumps(body).encode())
            try:
                await newrelic.send(Parcel((), route, packed, None))
            except (RetryLater, Rejected, TooLarge) as error:
                problems.append(f"{route}: {error.reason}")
    finally:
        await newrelic.stop()
    return problems
