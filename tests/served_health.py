"""What a job's `/health` answers, and waiting for what it says."""

import json
import subprocess
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.mqpipe import wait_until


def health(address: str) -> dict[str, Any]:
    """What `/health` at a host and port answers; nothing, where nobody does."""
    try:
        with urlopen(f"http://{address}/health", timeout=5) as page:
            return dict(json.loads(page.read()))
    except HTTPError as error:
        return dict(json.loads(error.read()))
    except OSError:
        return {}


def wait_for_watermark(
    process: "subprocess.Popen[str]", address: str, origin: str, tick: float
) -> None:
    """Wait until samples of an origin have arrived whose tick is due then (ms) or later."""
    wait_until(process, lambda: health(address).get("watermarks", {}).get(origin, 0) >= tick)
