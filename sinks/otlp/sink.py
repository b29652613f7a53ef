"""The OTLP sink."""

from typing import TYPE_CHECKING

import pyarrow as pa

from sinks.delivery import Destination
from sinks.job import JobContext
from sinks.otlp.settings import NAME, OtlpSettings
from sinks.sink import Sink
from sinks.spool.network import NetworkSink, network_sink

if TYPE_CHECKING:
    from sinks.otlp.totals import RunningTotals

_INTERVAL = 60_000


def otlp_sink(settings: OtlpSettings) -> Sink:
    """Points of OpenTelemetry's metrics to a receiver."""

    def destination(job: JobContext) -> Destination:
        from sinks.otlp.destination import Otlp

        return Otlp(settings, job.interval, job.listener)

    def probed(_job: JobContext) -> str:
        from sinks.otlp.probe import probe

        return probe(settings)

    def size_of(batch: pa.RecordBatch) -> int:
        from sinks.otlp.destination import compressed
        from sinks.otlp.encode import encode

        return len(compressed(encode([batch], _INTERVAL), settings.compression))

    def running(job: JobContext) -> "RunningTotals":
        from sinks.otlp.totals import RunningTotals

        return RunningTotals(job.interval)

    return network_sink(
        NetworkSink(
            NAME,
            settings.host,
            settings.spool,
            destination,
            probed,
            size_of=size_of,
            running=running if settings.temporality == "cumulative" else None,
        )
    )
