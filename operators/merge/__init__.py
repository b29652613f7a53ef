"""Merge: a cluster's kinds joined tick by tick, and in hybrid mode the gaps filled.

`operator` is the Bytewax step, `cluster` what it does for one cluster. `levels` remembers what
each entity last was, `fill` makes rows that go on from there, `preset` gives the levels of what
was never seen.
"""
