"""Packages that only some uses take, and how they come."""

import shutil
import sys
from pathlib import Path


def bring(requirement: str) -> str:
    """The one command that brings a package into the environment that this process runs in.

    `uv` is where it is found: on the path, or where `make` put it.
    """
    made = Path(sys.prefix) / "uv" / "bin" / "uv"
    uv = "uv" if shutil.which("uv") or not made.exists() else str(made)
    return f"{uv} pip install --python {sys.executable} '{requirement}'"
