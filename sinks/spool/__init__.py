"""One durable hand-over from the dataflow to every network sink.

The sink (`sink`) appends samples to spools on disk (`store`), each a segment log and what of it
is not delivered (`backlog`); a thread (`sender`) delivers them in the background.
"""
