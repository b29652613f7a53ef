"""One durable hand-over from the dataflow to every network sink.

The sink (`sink`) appends samples to spools on disk (`store`), each a segment log and what of it
is not delivered (`backlog`); a thread (`sender`) delivers them in the background.
"""

from sinks.spool.sender import ADOPT_AFTER
from sinks.spool.sink import SpooledSink, spooled_sink
from sinks.spool.store import SpoolInUseError, SpoolSettings, SpoolState

__all__ = [
    "ADOPT_AFTER",
    "SpoolInUseError",
    "SpoolSettings",
    "SpoolState",
    "SpooledSink",
    "spooled_sink",
]
