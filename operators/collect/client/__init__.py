"""What can be asked of a Kafka cluster, and its answers as arrays."""
