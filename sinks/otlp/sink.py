"""The OTLP sink."""

import pyarrow as pa

from sinks.otlp.destination import Otlp, compressed
from sinks.otlp.encode import encode
from sinks.otlp.probe import probe
from sinks.otlp.settings import OtlpSettings
from sinks.otlp.totals import RunningTotals
from sinks.sink import Sink
from sinks.spool.network import network_sink

_INTERVAL = 60_000


def otlp_sink(settings: OtlpSettings) -> Sink:
    """Points of OpenTelemetry's metrics to a receiver."""

    def size_of(batch: pa.RecordBatch) -> int:
        return len(compressed(encode([batch], _INTERVAL), settings.compression))

    cumulative = settings.temporality == "cumulative"
    return network_sink(
        Otlp.name,
        settings.host,
        settings.spool,
        lambda job: Otlp(settings, job.interval, job.listener),
        lambda _job: probe(settings),
        size_of,
        running=(lambda job: RunningTotals(job.interval)) if cumulative else None,
    )
