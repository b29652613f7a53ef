"""Merge: a cluster's kinds joined tick by tick, and in hybrid mode the gaps filled.

`operator` is the Bytewax step, `cluster` what it does for one cluster. Of the filling, `levels`
remembers what each entity last was, `continuity` makes rows that go on from there, `filler` does
so for one kind of target and `fills` for all of a cluster's; `like` gives the pattern, and the
levels of what was never seen.
"""
