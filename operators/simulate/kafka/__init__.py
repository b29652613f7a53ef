"""The physics of a simulated Kafka cluster."""
