"""Patterns, anomalies, generators and collectors of one's own: entry points, or `module:name`."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from operators.schema.settings import nearest

GROUPS = {
    "pattern": "mqpipe.patterns",
    "anomaly": "mqpipe.anomalies",
    "generator": "mqpipe.generators",
    "collector": "mqpipe.collectors",
}
"""The entry point groups, by what they hold."""


class PluginError(ValueError):
    """A name in the config leads to nothing that can be used."""

    def __init__(self, kind: str, name: str, why: str) -> None:
        super().__init__(kind, name, why)
        self.kind = kind
        self.name = name
        self.why = why

    def __str__(self) -> str:
        return f"no {self.kind} `{self.name}`: {self.why}"


def load(kind: str, name: str, known: Iterable[str] = ()) -> Any:
    """The object that `name` stands for: `module:name`, or an entry point of the group of its kind.

    `kind` is one of GROUPS; `known` are the built-in names, for the message.

    Raises:
        PluginError: nothing has this name, or importing it failed.
    """
    group = GROUPS[kind]
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            found = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
            return found
        from importlib.metadata import entry_points

        for entry in entry_points(group=group, name=name):
            return entry.load()
    except ModuleNotFoundError as error:
        raise PluginError(kind, name, f"{error}; is its folder in PYTHONPATH?") from error
    except Exception as error:
        raise PluginError(kind, name, f"{type(error).__name__}: {error}") from error
    from importlib.metadata import entry_points

    names = {*known, *(e.name for e in entry_points(group=group))}
    hint = f"; {nearest(name, names)}" if names else ""
    raise PluginError(
        kind,
        name,
        f"it is neither built in nor an entry point of `{group}` nor `module:name`{hint}",
    )
