"""What a job gives to all its sinks."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from operators.schema.events import Listener, nobody
from sinks.patience import Patience

if TYPE_CHECKING:
    from sinks.dead_letters import DeadLetters


def _no_parts(_sink: str) -> Collection[str]:
    return ()


def _no_grace() -> float:
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """The job as its sinks know it; each takes of it what it needs."""

    run: str
    """Names the job's samples among those of others: part of files' names."""
    state: Path
    """The directory of the job's state; a sink keeps what waits in one of its own name below."""
    letters: "DeadLetters"
    """Takes what was refused for good."""
    parts: Callable[[str], Collection[str]] = _no_parts
    """The partitions of a sink that has one for each cluster, by the sink's name.

    Those that earlier runs on the same state had are among them: their state must still find them.
    """
    listener: Listener = nobody
    """Gets what happens in sinks."""
    grace_left: Callable[[], float] = _no_grace
    """How many seconds of a drain are left for the network."""
    patience: Patience = Patience()
    """How attempts to deliver are repeated."""
    account_id: int | None = None
    """The account at New Relic."""
    interval: int = 60_000
    """Milliseconds between two ticks."""
    seed: int | None = None
    """The seed of what is simulated."""
    bulk: bool = False
    """Whether the samples of an epoch fill files by themselves, as in an export or a replay."""
    spools: Path | None = None
    """Where spools lie; None is where the sinks' settings say, or with the state."""
    build: str = ""
    """The version of mqpipe that writes the state."""
    recovery: str = ""
    """Which recovery store holds how far sinks have come; another has no word of what waits."""
    processes: int = 1
    """How many processes the job has, which share its state and its spools."""

    @property
    def metadata(self) -> dict[str, str]:
        """What files of its samples say of it."""
        return {} if self.seed is None else {"seed": str(self.seed)}
