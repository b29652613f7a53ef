"""What scores, data sets and detectors share: the anomalies of a simulation, and runs of ticks."""
