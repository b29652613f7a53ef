"""The sinks of a configuration, and what a job gives them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.config import Config
from flows.errors import StateError, UsageError
from operators.schema.arrow import Only
from sinks.parquet.settings import ParquetSettings
from sinks.sink import OpenSink, Output, Sink

if TYPE_CHECKING:
    from flows.state import JobState
    from operators.schema.events import Listener
    from sinks.job import JobContext


def sinks_of(config: Config) -> list[Sink]:
    """The sinks that a configuration names, in the order of its keys."""
    return [settings.sink() for settings in config.sinks.given]


def taken_beside_rows(sinks: Iterable[Sink]) -> frozenset[Only]:
    """In which ways what is no row is sent: what none takes is not made."""
    return frozenset[Only]().union(*(sink.takes_only for sink in sinks))


def parquet_at(path: str, settings: ParquetSettings | None = None) -> ParquetSettings:
    """Parquet at another path, for the rest as in the settings.

    Raises:
        UsageError: the path is a URI of no known storage.
    """
    known = {} if settings is None else settings.model_dump()
    try:
        return ParquetSettings.model_validate({**known, "path": path})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--out {path}: {reason}") from error


def job_context(
    config: Config,
    state: "JobState",
    parts: Callable[[str], Collection[str]] = lambda _sink: (),
    listener: "Listener | None" = None,
    grace_left: Callable[[], float] = lambda: 0.0,
    processes: int = 1,
) -> "JobContext":
    """What a job gives to its sinks; see `JobContext`."""
    # A plan has no use for these.
    from importlib.metadata import version

    from operators.schema.events import nobody
    from sinks.dead_letters import DeadLetters
    from sinks.job import JobContext

    listener = nobody if listener is None else listener
    return JobContext(
        run=state.run,
        state=state.path,
        letters=DeadLetters(config.dead_letters, listener),
        parts=parts,
        listener=listener,
        grace_left=grace_left,
        account_id=config.account_id,
        interval=config.interval_ms,
        seed=config.simulation.seed,
        build=version("mqpipe"),
        recovery=state.store,
        processes=processes,
    )


@dataclass(frozen=True, slots=True)
class OpenSinks:
    """The sinks that a job has opened, by name."""

    opened: Mapping[str, OpenSink]

    @property
    def outputs(self) -> dict[str, Output]:
        """What the dataflow writes to."""
        return {name: sink.output for name, sink in self.opened.items()}

    @property
    def are_delivered(self) -> bool:
        """Whether nothing waits for its delivery."""
        return all(sink.is_delivered() for sink in self.opened.values())

    def finish(self) -> None:
        """Have each sink keep what waits, also where another one fails.

        Raises:
            OSError: one failed; what it did not publish stays in its log.
        """
        with ExitStack() as stack:
            for sink in self.opened.values():
                stack.callback(sink.finish)


def opened(sinks: Iterable[Sink], job: "JobContext") -> OpenSinks:
    """Open sinks for a job.

    Raises:
        UsageError: what a sink's settings name cannot be used, such as a key's file.
        StateError: another job uses a spool.
        OSError: a place cannot be written to.
    """
    from sinks.spool.errors import SpoolInUseError

    try:
        with usage_errors():
            return OpenSinks({sink.name: sink.open(job) for sink in sinks})
    except SpoolInUseError as error:
        raise StateError(str(error)) from error


@contextmanager
def usage_errors() -> Iterator[None]:
    """What is wrong with a file that the config names is wrong with the config."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def spool_sizes(sinks: Iterable[Sink]) -> dict[str, int]:
    """How many bytes each network sink's spool may take."""
    return {sink.name: sink.spool.size for sink in sinks if sink.spool is not None}


_IN_FILES = 4.0
"""Seconds from a snapshot until what it covers is in files, where the store is quick."""


def where_files_appear(
    sinks: Iterable[Sink], first_tick: int | None, epoch: float, *, once: bool = False
) -> dict[str, str]:
    """By sink that writes files or tables, where samples appear and when, in words.

    `first_tick` is in milliseconds since the Unix epoch, None where rows come at once; `epoch` is
    in seconds. `once` is where there is no other tick.
    """
    from flows.units import duration  # which a plan has no use for

    words = {}
    for sink in sinks:
        if sink.roll is None:
            continue
        if first_tick is None:
            when = f"every {duration(max(1, round(epoch)))}"
        elif once:
            tick = datetime.fromtimestamp(ceil(first_tick / 1000), UTC)
            when = f"all at the end, after the one tick at {tick:%H:%M:%S} UTC"
        else:
            first = datetime.fromtimestamp(ceil(first_tick / 1000 + epoch + _IN_FILES), UTC)
            when = (
                f"the first by about {first:%H:%M:%S} UTC, then every "
                f"{duration(_whole(sink.roll.every))}, sooner where a cluster has "
                f"{sink.roll.rows:,} rows"
            )
        words[sink.name] = f"samples appear in {sink.place}: {when}"
    return words


def _whole(seconds: float) -> float:
    """As an int where it is one: of whole seconds people read no fraction."""
    return int(seconds) if seconds == int(seconds) else seconds
