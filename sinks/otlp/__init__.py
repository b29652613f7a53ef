"""Delivery over OTLP: at least once, to any backend that takes OpenTelemetry's metrics."""
