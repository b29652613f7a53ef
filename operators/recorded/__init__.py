"""The stream recorded in a Kafka topic, read again: any range of time, each message once."""
