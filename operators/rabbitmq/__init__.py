"""Collection from RabbitMQ clusters, by HTTP.

`collector` does a target's tick: what the nodes are it asks the management `api`, what the queues hold
it reads from the Prometheus plugin of each node, whose pages `detailed` takes apart, or page by page
from the API where there is no plugin. `nodes` and `queues` make samples of it, and `derive` rates of
the counters.
"""
