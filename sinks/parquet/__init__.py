"""Parquet: exactly once, in a directory or an object store.

`<path>/type=<entity type>/date=<UTC date>/<run>-<partition>-<sequence>.parquet`
"""

from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from sinks.parquet.straight import StraightParquet

__all__ = ["ParquetSettings", "RolledParquet", "StraightParquet"]
