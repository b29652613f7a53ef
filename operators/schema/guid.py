"""Entities' names in paths, and their GUIDs: one recipe for real, simulated and filled entities."""

from functools import lru_cache
from hashlib import sha256

_ENCODED = str.maketrans({"%": "%25", "/": "%2F", ":": "%3A"})


def broker_name(broker: object) -> str:
    """What a broker's path has after its cluster."""
    return f"broker-{broker}"


def node_name(node: object) -> str:
    """What a RabbitMQ node's path has after its cluster."""
    return f"node-{node}"


def encoded(name: str) -> str:
    """A name that may hold `/` or `:` as one part of a path: `%`, `/` and `:` are percent-encoded."""
    return name.translate(_ENCODED)


def entity_path(*parts: str) -> str:
    """How people name an entity: its cluster, and what follows it, or only what follows it."""
    return "/".join(parts)


@lru_cache(maxsize=1 << 18)
def entity_guid(
    account_id: int | None, entity_type: str, provider: str, cluster: str, *parts: str
) -> str:
    """The GUID of an entity.

    `{account_id, or 0}|INFRA|{entity_type}|{first 32 hex digits of sha256 of the path}`, where
    the path is `<provider>:<cluster>` followed by the entity's `parts`, joined by colons:
    nothing for a cluster, `broker-<id>`, `<topic>`, `<group>`, `<queue>`, the three of
    `<group>`, `<topic>`, `<partition>`, or a target's `<kind>`.
    """
    path = ":".join((provider, cluster, *parts))
    return f"{account_id or 0}|INFRA|{entity_type}|{sha256(path.encode()).hexdigest()[:32]}"
