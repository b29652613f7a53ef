"""Where batches end: Parquet, New Relic, Kafka, the spool, dead letters."""
