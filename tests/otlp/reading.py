"""What a request says, read by opentelemetry-proto's own classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)


@dataclass(frozen=True, slots=True)
class Point:
    """One data point with all that it is in. Times are nanoseconds since the epoch."""

    name: str
    unit: str
    kind: str
    """`gauge`, or `delta` or `cumulative` for a monotonic sum."""
    value: float
    start: int
    time: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str

    @property
    def series(self) -> tuple[Any, ...]:
        """What sets its series apart from all others."""
        return (
            self.name,
            tuple(sorted(self.attributes.items())),
            tuple(sorted(self.resource.items())),
        )


_KINDS = {1: "delta", 2: "cumulative"}


def points_of(body: bytes) -> Iterator[Point]:
    """All points of a request.

    Raises:
        google.protobuf.message.DecodeError: it is none.
    """
    request = ExportMetricsServiceRequest.FromString(body)
    for resource in request.resource_metrics:
        of_resource = _attributes(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                gauge = metric.WhichOneof("data") == "gauge"
                assert gauge or metric.sum.is_monotonic
                kind = "gauge" if gauge else _KINDS[metric.sum.aggregation_temporality]
                points = metric.gauge.data_points if gauge else metric.sum.data_points
                for point in points:
                    yield Point(
                        metric.name,
                        metric.unit,
                        kind,
                        getattr(point, point.WhichOneof("value")),
                        point.start_time_unix_nano,
                        point.time_unix_nano,
                        _attributes(point.attributes),
                        of_resource,
                        scope.scope.name,
                    )


def _attributes(pairs: Any) -> dict[str, Any]:
    named = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
    assert len(named) == len(pairs), "an attribute is there twice"
    return named
