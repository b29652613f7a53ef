"""What JetStream's streams and consumers are called in paths and GUIDs."""

from operators.schema.guid import encoded

DEFAULT_ACCOUNT = "$G"
"""The account of who logs in without any."""


def path_of(account: str, stream: str, consumer: str | None = None) -> tuple[str, ...]:
    """The parts of a path below its cluster: `ORDERS`, `ORDERS/billing`, `SHOP.ORDERS/billing`.

    The account stands before its streams' names, but for `$G`; they have no dots, so that no two have
    one path. `%`, `/` and `:` are percent-encoded.
    """
    first = stream if account == DEFAULT_ACCOUNT else f"{account}.{stream}"
    named = (first,) if consumer is None else (first, consumer)
    return tuple(map(encoded, named))


def parts_at(path: str) -> tuple[str, ...]:
    """The parts of a path that is written.

    Raises:
        ValueError: there are more than a stream's and its consumer's.
    """
    parts = tuple(path.split("/"))
    if len(parts) > 2 or not all(parts):
        raise ValueError(
            f"`{path}` is no path of a stream or consumer: write `STREAM`, or `STREAM/consumer`; of an "
            "account that is not `$G`, `ACCOUNT.STREAM`"
        )
    return parts
