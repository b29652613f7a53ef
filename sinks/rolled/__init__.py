"""Sinks whose rows wait in a segment log until enough of them are published together.

Unit of parallelism: the partition (a shard or cluster). Guarantee: exactly once over the death
of the process at any moment, where the source repeats what was not stored and publishing a
segment again does no harm.

A snapshot writes what came since the last one, and stores how far the open segment goes and which
segments are sealed; it waits for nothing. A sealed segment is published in the background, and only from the next snapshot on, for
then the engine has stored the seal. Its log is dropped two snapshots after it was published, when
the engine can come back to no state that needs it.

The engine takes no snapshot of a partition to which nothing was written, so a silent one is
looked at from beside the dataflow: what its last snapshot covers is sealed and published as it
is at a drain. A sink that cannot undo it, if that snapshot was not stored yet, waits until its
worker has ended a later epoch, by snapshots of other partitions.

At a drain the engine closes partitions one after the other, on the thread that then has to store
their last snapshots. So `close` publishes nothing; `Background.finish` does once the engine has
ended, when those snapshots are stored.
"""
