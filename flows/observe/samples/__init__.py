"""The page of clusters: each entity's latest sample, for Prometheus."""
