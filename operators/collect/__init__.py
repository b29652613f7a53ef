"""Collection from Kafka clusters by the protocol, and from their brokers' metrics pages.

`collector` does a target's tick. It asks `reading`, which reads each thing of a tick once and
shares it between the kinds: `topology`, `group_state`, `offsets` and `log_dirs` through `client`,
whose big requests and answers `frames` writes and reads as arrays, and `pages` by HTTP. `brokers`,
`topics`, `groups` and `group_topics` make samples of it, and in the shapes of `raw` what the
derivation needs besides; `timeline` finds when messages were written. `probe` produces and reads
back, `check` and `probe_check` name what is missing, and `custom` takes in custom collectors.
"""
