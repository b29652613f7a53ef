"""A simulated RabbitMQ cluster.

`layout` is where its queues are, `queues` what they do with messages, `nodes` what nodes are loaded with,
and `cluster` all of that.
"""
