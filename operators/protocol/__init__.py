"""An asyncio client of Kafka's protocol: what collection asks clusters by.

It knows requests and connections, and nothing of what the answers are for.
"""

from typing import TYPE_CHECKING

from operators.schema.lazy import names_from

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

__getattr__ = names_from(__name__, _MODULES)
