"""What three servers of a cluster reported by their monitoring pages: nats-server 2.9.10.

The stream ORDERS (led by s2) has ten messages of 48 bytes; of its consumer `billing` (led by s3, as is
JetStream itself) four were delivered and three acknowledged.
"""

import json
from pathlib import Path
from typing import Any

from operators.collect.samples import ClusterIdentity

IDENTITY = ClusterIdentity("nats", "test", None, None, "nats")
AT = 1_780_000_000_000
"""When the pages were read, in ms since 1970: after all that is in them."""


def pages() -> dict[str, Any]:
    """By server `varz`, `jsz`, and the `accounts` of a jsz that was asked for all: fresh, to be changed."""
    found: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())
    return found
