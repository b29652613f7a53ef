"""Collection from Kafka clusters by the protocol, and from their brokers' metrics pages.

`collector` does a target's tick. It asks `reading`, which reads each thing of a tick once and
shares it between the kinds: `topology`, `group_state`, `offsets` and `topic_ids` through `client`,
make samples of it, and in the shapes of `raw` what the derivation needs besides; `timeline` finds
when messages were written. `cluster` joins the cluster's row, `report` makes each tick data,
`probe` produces and reads back, `check` and `probe_check` name missing permissions, `shape`
describes a whole cluster, and `custom` takes in collectors of one's own.
"""
