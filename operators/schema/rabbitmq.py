"""What RabbitMQ's queues are called in paths and GUIDs."""

from urllib.parse import unquote

from operators.schema.guid import encoded

DEFAULT_VHOST = "/"

UNUSABLE = frozenset({"down", "crashed", "stopped", "minority", "terminated"})
"""States in which nobody can use a queue."""


def path_of(vhost: str, queue: str) -> tuple[str, ...]:
    """The parts of a queue's path below its cluster: its virtual host and its name.

    `%`, `/` and `:` are percent-encoded, and the virtual host `/` is left out, so that no two
    queues have one path.
    """
    named = (queue,) if vhost == DEFAULT_VHOST else (vhost, queue)
    return tuple(map(encoded, named))


def queue_at(path: str) -> tuple[str, str]:
    """Virtual host and name of the queue at a path: `orders`, or `shop/orders`.

    Raises:
        ValueError: the path has more parts.
    """
    *vhost, queue = path.split("/")
    if len(vhost) > 1:
        raise ValueError(
            f"`{path}` is no path of a queue: write `queue` or `vhost/queue`, with `%2F` for a "
            "slash in a name"
        )
    return unquote(vhost[0]) if vhost else DEFAULT_VHOST, unquote(queue)
