"""The New Relic sink."""

import pyarrow as pa

from sinks.job import JobContext
from sinks.newrelic.destination import NewRelic
from sinks.newrelic.encode import events
from sinks.newrelic.payloads import payloads
from sinks.newrelic.probe import probe
from sinks.newrelic.settings import NewRelicSettings
from sinks.sink import Sink
from sinks.spool.network import network_sink


def newrelic_sink(settings: NewRelicSettings) -> Sink:
    """Events, metrics or both to one account."""
    return network_sink(
        NewRelic.name,
        str(settings.region),
        settings.spool,
        lambda job: NewRelic(settings, account_of(job), job.interval),
        lambda job: probe(settings, account_of(job)),
        _events_size,
    )


def account_of(job: JobContext) -> int:
    """The job's account.

    Raises:
        ValueError: it has none.
    """
    if job.account_id is None:
        raise ValueError("New Relic needs `account_id`")
    return job.account_id


def _events_size(batch: pa.RecordBatch) -> int:
    return sum(len(payload.body) for payload in payloads(events(batch)))
