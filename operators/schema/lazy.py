"""Names that a package offers from its modules, each imported when one of its names is asked for."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def names_from(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """A package's `__getattr__` by which it offers names of modules."""

    def named(name: str) -> object:
        for module, names in modules.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return named
