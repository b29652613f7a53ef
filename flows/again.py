"""Starting again as a new program in the same process, where the engine cannot go on.

That is so with another configuration, and where the clock is set back. The engine compares wall times: where the clock is set back by an hour, it waits for an hour,
whatever its sources say, and neither takes a snapshot meanwhile nor ends. So the process begins
again, as after a kill at that moment: it goes on from the last snapshot, and what waits on disk is
there. Its number, its standard streams, and what was asked of it stay.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NoReturn

from flows.standard_streams import drain_all

HEARD_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_VARIABLE = "MQPIPE_STARTED_AGAIN"


@dataclass(frozen=True, slots=True)
class Handover:
    """What one life leaves to the next."""

    ends_at: float | None = None
    """When a limited run ends, in seconds of the monotonic clock, which goes on."""
    state: str | None = None
    """The state of a run that keeps none for later."""
    stopping: bool = False
    """Whether it was asked to stop."""


class StartAgain(Exception):  # noqa: N818 - no error: the way out of all that is under way
    """The way on is `exec`: the engine stands still, for the clock was set back, or has ended.

    `stopping` says, at that moment, whether a stop was asked for.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        super().__init__()
        self.kept = Handover()
        self._stopping = stopping

    def exec(self) -> NoReturn:
        """Start over with the same arguments."""
        drain_all()
        # Signals that come before the new program hears them wait for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD_SIGNALS)
        kept = {**asdict(self.kept), "stopping": self._stopping()}
        os.environ[_VARIABLE] = json.dumps(kept)
        program = [sys.executable, *sys.orig_argv[1:]]
        os.execv(sys.executable, program)  # noqa: S606 - it is this program


def kept() -> Handover | None:
    """What the life before left; None in the first one."""
    text = os.environ.get(_VARIABLE)
    return None if text is None else Handover(**json.loads(text))


def seconds_left(until: float) -> float:
    """Seconds until a moment of the monotonic clock."""
    return until - time.monotonic()
