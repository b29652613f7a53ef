"""Configurations that ship with mqpipe."""

from importlib.resources import files

DEFAULT = "default.yaml"
"""What runs without a configuration."""
COMMENTED = "commented.yaml"
"""What `mqpipe init` writes."""


def template(name: str) -> str:
    """The text of a shipped configuration."""
    return (files(__name__) / name).read_text(encoding="utf-8")
