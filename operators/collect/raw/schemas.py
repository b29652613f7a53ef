"""What is measured but is no column, as Arrow: read by the collection, used by the derivation."""

import pyarrow as pa

NAME = pa.dictionary(pa.int32(), pa.string())

OFFSETS = pa.schema(
    [
        ("topic", NAME),
        ("topic_id", NAME),
        ("partition", pa.int32()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("epoch", pa.int32()),
        ("led", pa.bool_()),
        ("at", pa.int64()),
    ]
)
"""`offsets` of topics: one row a partition; ids and offsets are null where they are not known, `led`
says whether the partition has a leader, `at` is when its leader answered (ms)."""

LAYOUT = pa.schema(
    [
        ("topic", NAME),
        ("partition", pa.int32()),
        ("leader", pa.int64()),
        ("preferred", pa.int64()),
        ("replicas", pa.int64()),
        ("in_sync", pa.int64()),
    ]
)
"""`layout` of topics: one row a partition; the leader is null where there is none."""

COMMITS = pa.schema(
    [
        ("group", NAME),
        ("topic", NAME),
        ("partition", pa.int32()),
        ("committed", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("led", pa.bool_()),
        ("at", pa.int64()),
        ("message_at", pa.int64()),
        ("lag", pa.int64()),
        ("retention", pa.float64()),
        ("room", pa.float64()),
        ("pace", pa.float64()),
        ("produced", pa.float64()),
    ]
)
"""`commits` of groups: one row a group, topic and partition with a commit that the cluster still
has; `at` is when the commit came (ms), `message_at` the timestamp (ms) of the first message after
it, where the broker reported it. `lag` is a share group's, as its coordinator says; null where it is the end
minus the committed offset. `retention` are the seconds that messages are kept, `room` how many are kept at
most; inf where there is no limit, null where it is not known. `pace` and `produced` are what was read
and what came in messages/s, smoothed: the derivation's own."""

MEMBERS = pa.schema([("group", NAME), ("member", pa.string()), ("at", pa.int64())])
"""`members` of groups: one row a member; a group without members has one row with null. `at` is
when the group answered (ms)."""

CONSUMPTION = pa.schema(
    [("group", NAME), ("topic", NAME), ("committed", pa.int64()), ("at", pa.int64())]
)
"""`consumption` of topics: the sum of a group's commits on a topic."""


EPOCHS = pa.schema(
    [("topic", NAME), ("topic_id", NAME), ("epochs", pa.int64()), ("at", pa.int64())]
)
"""`epochs` of the cluster: one row a topic; `epochs` is the sum of its partitions' leader epochs, each of
which grows by one when a leader is elected, `at` is when they came (ms)."""

PAGES = pa.schema([("broker", pa.int32()), ("at", pa.int64())])
"""`pages`: one row a live broker; `at` is when its metrics page came (ms), null where it did not."""

COUNTERS = pa.schema(
    [("broker", pa.int32()), ("topic", NAME), ("name", NAME), ("value", pa.float64())]
)
"""`counters` of brokers (`topic` is null) and of topics: values since the broker's start. `rates` has
the means per second of counters that a page does not have."""
