"""Collection from Kafka clusters by the protocol, and from their brokers' metrics pages.

`cluster_collector` does a target's tick. It asks `reading`, which reads each thing of a tick once
through `client` and `pages` and shares it between the kinds; `entities` makes samples of it, and
`raw` what the derivation needs besides. `probe` produces and reads back, `check` and `probe_check`
name what is missing, `custom` takes in custom collectors, and `step` is the step of a dataflow in
which all of a process collect.
"""
