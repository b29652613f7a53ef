"""Parquet: exactly once, in a directory or an object store.

`<path>/type=<entity type>/date=<UTC date>/<run>-<partition>-<sequence>.parquet`
"""
