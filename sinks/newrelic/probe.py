"""Whether New Relic takes what this configuration would send it."""

import gzip
import json

from sinks.delivery import Parcel, Rejected, RetryLater, TooLarge
from sinks.newrelic.sender import NewRelic
from sinks.newrelic.settings import NewRelicSettings, Shape

PROBE_EVENT = "MqpipeCheckSample"
"""Event type of the one event that a probe leaves behind."""


async def probe(settings: NewRelicSettings, account_id: int, now: int) -> list[str]:
    """Send one harmless event or point by each route; what went wrong, in words, if anything.

    `now` is in milliseconds. New Relic checks the key and the shape before it answers; the rest
    it checks later (NrIntegrationError).

    Raises:
        ValueError: the licence key cannot be read.
    """
    bodies = {
        Shape.EVENTS: [{"eventType": PROBE_EVENT, "timestamp": now}],
        Shape.METRICS: [
            {"metrics": [{"name": "mqpipe.check", "type": "gauge", "value": 1, "timestamp": now}]}
        ],
    }
    wanted = bodies if settings.shape is Shape.BOTH else {settings.shape: bodies[settings.shape]}
    newrelic = NewRelic(settings, account_id, interval=60_000)
    problems = []
    await newrelic.start()
    try:
        for route, body in wanted.items():
            packed = gzip.compress(json.dumps(body).encode())
            try:
                await newrelic.send(Parcel((), route.value, packed, None))
            except (RetryLater, Rejected, TooLarge) as error:
                problems.append(f"{route.value}: {error.reason}")
    finally:
        await newrelic.stop()
    return problems
