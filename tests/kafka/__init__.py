"""A real Kafka for tests, from Apache's own jars; `python -m tests.kafka` starts one by hand."""
