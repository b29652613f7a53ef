"""What a job shows of itself: logs, the live table, metrics, health.

`observation` sets all of it up. `tally` hears what pools, sinks and merge report and makes pictures
(`picture`) of how things stand; `live`, `metrics` and `health` are ways to show a picture.
"""
