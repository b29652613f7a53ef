"""Metrics pages of brokers that no test can start, written for the tests."""

from pathlib import Path

MSK = Path(__file__).with_name("msk.txt")
"""Amazon MSK's open monitoring: an agent 0.x without rules, its commas at the end of labels."""

REDPANDA = Path(__file__).with_name("redpanda.txt")
"""Redpanda's /public_metrics, after its reference of public metrics."""
