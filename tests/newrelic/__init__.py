"""A stand-in for New Relic's ingest; `python -m tests.newrelic` starts one by hand."""
