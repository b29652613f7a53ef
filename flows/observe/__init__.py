"""What a job shows of itself: logs, the live table, metrics."""
