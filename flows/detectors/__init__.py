"""Detectors that show what `mqpipe score` takes: `python -m flows.detectors`.

The alerts and rules that ship with mqpipe (`newrelic_alerts`, `prometheus_rules`), what statistics say
of each entity's series (`statistics`, `forest`), and the margin of data loss (`margin`). `bench` holds
them against simulated fleets and makes docs/detectors.md.
"""
