"""Errors that end a command with a message and an exit code.

CommandError            1: the work cannot be done, or failed
StateError            a state directory cannot be used
FlowError             the dataflow failed
flows.samples.SamplesError            there are no samples to read
flows.report.library.MissingExtraError  what draws plots is not installed
UsageError              2: the options, or the config for this command, make no sense
flows.loading.ConfigError  2: the config is wrong
"""


class CommandError(Exception):
    """A command cannot do its work; the message says what, where, why and what to do."""

    code = 1


class StateError(CommandError):
    """A state directory cannot be used."""


class FlowError(CommandError):
    """A dataflow ended by an error; the message is its cause's."""


class UsageError(CommandError):
    """What was asked for makes no sense."""

    code = 2
