"""A sink: where a configuration sends samples, as one object for all that is done with it.

Each folder `sinks/<name>/` offers its sink by its settings (`SinkSettings`), and whoever has a
configuration loops over them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pyarrow as pa

from operators.schema.arrow import Only
from sinks.rolled.settings import RollSettings
from sinks.spool.settings import SpoolSettings

if TYPE_CHECKING:
    import asyncio

    import bytewax.outputs

    from operators.schema.kafka import KafkaConnection
    from sinks.job import JobContext
    from sinks.redeliver import Redelivery

Output: TypeAlias = "bytewax.outputs.Sink[tuple[str, pa.RecordBatch]]"
"""Takes `(cluster_name, batch)` in a dataflow."""


def _nothing() -> None:
    """Nothing is left to do."""


def _always() -> bool:
    return True


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class OpenSink:
    """A sink as a job has opened it."""

    output: Output
    finish: Callable[[], None] = _nothing
    """Called once the engine has ended well; raises OSError where something could not be kept."""
    is_delivered: Callable[[], bool] = _always
    """Whether nothing that it took waits for a delivery."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a batch becomes: bytes as sent, and how many data points are in it."""

    bytes: int
    points: int


@dataclass(frozen=True, slots=True)
class SampleLog:
    """Where samples wait on disk while a job runs: segment logs below a folder."""

    folder: Path
    before: int = 0
    """Bytes that stand before the samples in each record."""


@dataclass(frozen=True, slots=True)
class ReadableFiles:
    """Parquet files of samples, below a folder or a URI."""

    uri: str


@dataclass(frozen=True, slots=True)
class ReadableTopic:
    """A topic of recorded samples."""

    connection: "KafkaConnection"
    topic: str


class EventPoster(Protocol):
    """Sends events about mqpipe itself, beside samples and never in their way."""

    def put(self, event: Mapping[str, Any]) -> None:
        """Take an event, a mapping of attributes, from any thread; returns at once."""

    async def run(self, closing: "asyncio.Event") -> None:
        """Send what comes until `closing` is set, and then what is left."""


@dataclass(frozen=True, slots=True)
class PoolEventOffer:
    """That a sink takes what happens in pools too."""

    usual: bool
    """Whether also what is as usual: tasks that begin and complete."""
    poster: Callable[[int | None], EventPoster]
    """What sends them, by the account of the job; raises ValueError as `Sink.open`."""


@dataclass(frozen=True, slots=True)
class Sink:
    """One sink of a configuration."""

    name: str
    """Its key in the configuration; also its step in the dataflow, by which state finds it."""
    place: str
    """Where samples go, in a word: a path, a topic, a host."""
    open: Callable[["JobContext"], OpenSink]
    """Make it ready for a job.

    Raises ValueError where what the settings name cannot be used, and OSError.
    """
    probe: Callable[["JobContext"], str]
    """Reach for its place, and report what was found; called on a thread, may take seconds.

    Raises OSError or ValueError: it cannot be reached, a line for each cause.
    """
    holds_samples: Callable[[], bool] = _never
    """Whether its place holds samples, with which those of a replay would mix."""
    size_of: Callable[[pa.RecordBatch], int] | None = None
    """About how many bytes a batch becomes there, where the sink rolls as a file; None is not known."""
    shapes: Mapping[str, Callable[[pa.RecordBatch], "Size"]] = field(default_factory=dict)
    """By the name of a shape in which it could send a batch: what that would become."""
    log: Callable[[Path], SampleLog] | None = None
    """Where samples wait while a job runs, by the directory of its state; None where none do."""
    readable: ReadableFiles | ReadableTopic | None = None
    """Where its samples can be read again; None where nothing here can read them."""
    require: Callable[[], object] = _nothing
    """Look at what the settings name, such as a key's file; raises ValueError or OSError."""
    takes_only: frozenset[Only] = frozenset()
    """What it takes besides rows: what is there to be sent in one way alone."""
    spool: SpoolSettings | None = None
    """Where samples wait for the network; None where it does not spool."""
    roll: RollSettings | None = None
    """When what it took over appears in files or tables; None where it writes none."""
    pool_events: PoolEventOffer | None = None
    """How it takes what happens in pools; None where it does not."""
    redeliver: Callable[["JobContext"], "Redelivery"] | None = None
    """Send its dead letters, and what waits in its spool, once more.

    Raises SpoolInUseError, ValueError or OSError: see `sinks.redeliver`.
    """


class SinkSettings(Protocol):
    """The settings of a sink lead to it."""

    def sink(self) -> Sink:
        """The sink of these settings."""
