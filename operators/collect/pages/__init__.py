"""Brokers' Prometheus pages: read by HTTP, parsed, their names looked up among the dialects."""
