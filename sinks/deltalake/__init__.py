"""Delta tables, one for each entity type: `<path>/<entity type>`, partitioned by date.

Only `settings` can be imported without the package deltalake, which is an extra.
"""
