"""Alerts of any detector, as a table."""

import polars as pl

ALERTS = {"entity": pl.String, "start": pl.Int64, "end": pl.Int64, "cause": pl.String}
"""Its shape: path of the entity, first and last moment (ms since 1970), and the path of the entity that
the detector holds to be the root; null where it says nothing."""
