"""An asyncio client of Kafka's protocol: what collection asks clusters by.

It knows requests and connections, and nothing of what the answers are for.
"""

from operators.protocol.client import Client
from operators.protocol.errors import RequestError, error_class, error_name

__all__ = ["Client", "RequestError", "error_class", "error_name"]
