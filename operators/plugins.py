"""Custom patterns, anomalies, generators and collectors: entry points, or `module:name`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from operators.schema.nearest import suggestion

if TYPE_CHECKING:
    import pyarrow as pa


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


FaultOf: TypeAlias = Callable[[str], Exception]
"""Makes the error of a custom part that is not what is wanted of it, from why."""


def make(
    kind: str,
    use: str,
    methods: Sequence[str],
    *arguments: Any,
    options: Mapping[str, Any],
    fault: FaultOf,
) -> Any:
    """What the factory of this name gives, which must have the methods (`collect(tick)`).

    Raises:
        Exception: the `fault`; there is no such factory, it failed, or a method is missing.
    """
    try:
        made = load(kind, use)(*arguments, **options)
    except Exception as error:
        raise fault(f"cannot be made: {type(error).__name__}: {error}") from error
    missing = [m for m in methods if not callable(getattr(made, m.partition("(")[0], None))]
    if missing:
        raise fault(f"what it makes has no method `{'`, `'.join(missing)}`")
    return made


class AskedPart:
    """A custom part that does I/O, made in a thread when it is first asked.

    Its methods may be coroutines; each call of a plain one runs in a thread of its own.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    async def ask(self, method: str, *arguments: Any) -> Any:
        """What a method of it gives.

        Raises:
            Exception: whatever making it, or the method, raised.
        """
        from operators.pool.thread import call  # of no use to a check

        if self._made is None:
            self._made = await call(self._make)
        return await call(getattr(self._made, method), *arguments)

    async def close(self) -> None:
        """Close it, where it was made and can be closed."""
        if callable(getattr(self._made, "close", None)):
            await self.ask("close")


def samples_of(given: Any, maker: str, fault: FaultOf) -> list["pa.RecordBatch"]:
    """The batches that a plug-in gave, looked at before they go on; `maker` makes right ones.

    Raises:
        Exception: the `fault`; they are no list of batches of samples.
    """
    from operators.schema.arrow import NoSamplesError, require_samples  # of no use to a check

    if not isinstance(given, Sequence):
        # A generator's work would be done by whoever asks for it, such as an event loop.
        raise fault(f"gave a {type(given).__name__} in place of a list of RecordBatches")
    try:
        return [require_samples(batch, maker) for batch in given]
    except NoSamplesError as error:
        raise fault(str(error)) from error


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
    hint = f"; {suggestion(name, names)}" if names else ""
    raise PluginError(
        kind,
        name,
        f"it is neither built in nor an entry point of `{group}` nor `module:name`{hint}",
    )
