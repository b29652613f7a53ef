"""The New Relic sink."""

import pyarrow as pa

from sinks.delivery import Destination
from sinks.job import JobContext
from sinks.newrelic.settings import NAME, NewRelicSettings
from sinks.sink import Sink
from sinks.spool.network import network_sink


def newrelic_sink(settings: NewRelicSettings) -> Sink:
    """Events, metrics or both to one account."""

    def destination(job: JobContext) -> Destination:
        from sinks.newrelic.destination import NewRelic

        return NewRelic(settings, account_of(job), job.interval)

    def probed(job: JobContext) -> str:
        from sinks.newrelic.probe import probe

        return probe(settings, account_of(job))

    return network_sink(
        NAME, str(settings.region), settings.spool, destination, probed, _events_size
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
    from sinks.newrelic.encode import events
    from sinks.newrelic.payloads import payloads

    return sum(len(payload.body) for payload in payloads(events(batch)))
