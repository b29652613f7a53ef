"""A wall clock of its own for a process, and no other clock: libfaketime's, of Debian.

Its library for programs with threads: by the other one a thread may see the true time for a moment,
while another thread reads the file that says the time.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest


def faketime() -> Mapping[str, str]:
    """The environment in which a process has such a clock; in CI it must be there."""
    found = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found and not os.environ.get("CI"):
        pytest.skip("no libfaketime: apt-get install faketime")
    return {
        "LD_PRELOAD": str(found[0]),
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
