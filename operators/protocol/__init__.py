"""An asyncio client of Kafka's protocol: what collection asks clusters by.

It knows requests and connections, and nothing of what the answers are for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operators.protocol.client import Client as Client
    from operators.protocol.errors import RequestError as RequestError
    from operators.protocol.errors import error_class as error_class
    from operators.protocol.errors import error_name as error_name

_MODULES = {
    "operators.protocol.client": ("Client",),
    "operators.protocol.errors": ("RequestError", "error_class", "error_name"),
}
"""The names that can be imported from here, by where they are."""


def __getattr__(name: str) -> object:
    """A name of the table, from its module, which is imported now."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
