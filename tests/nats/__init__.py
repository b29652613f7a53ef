"""A real NATS for tests, from Debian's package; `python -m tests.nats` starts one by hand."""
