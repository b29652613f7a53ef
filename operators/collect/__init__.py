"""Collection from Kafka clusters by the protocol, and from their brokers' metrics pages.

`collector` does a target's tick. It asks `reading`, which reads each thing of a tick once
through `client` and shares it between the kinds; `brokers`, `topics` and `groups` make samples
of what was read. `rows` joins the cluster's row and reports each tick as data.
"""
