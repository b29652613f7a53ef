"""Errors that end a command with a message and an exit code.

CommandError            1: the work cannot be done, or failed
StateError            a state directory cannot be used
FlowError             the dataflow failed
flows.samples.SamplesError            there are no samples to read
MissingExtraError     a package of an extra is not installed
UsageError              2: the options, or the config for this command, make no sense
ConfigError             2: the config is wrong
"""

from collections.abc import Sequence
from dataclasses import dataclass

NO_SINK = "no sink: samples go nowhere; name one under `sinks`"
"""Reported of a job whose `sinks` are none."""


class CommandError(Exception):
    """A command cannot do its work; the message says what, where, why and what to do."""

    code = 1


class StateError(CommandError):
    """A state directory cannot be used."""


class FlowError(CommandError):
    """A dataflow ended by an error; the message is its cause's."""


class MissingExtraError(CommandError):
    """A package that only some commands need is not here; names the one command that brings it."""

    def __init__(self, what: str, requirement: str) -> None:
        from operators.schema.extras import bring  # which only this message needs

        super().__init__(f"{what} a package that is not here: {bring(requirement)}")


class UsageError(CommandError):
    """What was asked for makes no sense."""

    code = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a configuration. `line` counts from 1; 0 is the whole file."""

    path: str
    line: int
    message: str


class ConfigError(Exception):
    """The configuration cannot be used. `faults` has every fault that was found."""

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        self.source = source
        self.faults = tuple(faults)
        super().__init__(source, self.faults)

    def __str__(self) -> str:
        lines = []
        for fault in self.faults:
            where = f"{self.source}:{fault.line}" if fault.line else self.source
            lines.append(": ".join(part for part in (where, fault.path, fault.message) if part))
        return "\n".join(lines)
