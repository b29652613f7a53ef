"""One durable hand-over from the dataflow to every network sink.

The Bytewax sink (`sink`) appends samples to spools on disk (`store`), each a segment log and what
of it is not delivered (`backlog`); a thread (`sender`) delivers them in the background by `chunks`.
`network` makes a sink of a destination.
"""
