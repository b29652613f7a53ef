"""Delivery to a Kafka topic: at least once, from which `mqpipe replay` reads."""
