"""Running a dataflow to its end: workers, recovery, signals and a graceful end."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType

import structlog
from bytewax.dataflow import Dataflow
from bytewax.recovery import (
    InconsistentPartitionsError,
    MissingPartitionsError,
    NoPartitionsError,
    RecoveryConfig,
)
from bytewax.testing import cluster_main

from flows.errors import FlowError
from operators.drain import Drain

log = structlog.get_logger("mqpipe.runtime")

_LAST_RESORT = 5.0
"""Seconds after the grace period in which the engine itself must have ended."""


@dataclass(frozen=True, slots=True)
class Workers:
    """How a dataflow is spread: threads in this process, processes in the cluster."""

    threads: int = 1
    addresses: Sequence[str] = ()
    process_id: int = 0


def execute(
    flow: Dataflow,
    drain: Drain,
    workers: Workers,
    epoch: float,
    recovery: RecoveryConfig | None,
    grace: float,
) -> bool:
    """Run a dataflow until its sources end; True where it ended by itself or by a clean drain.

    SIGTERM and SIGINT ask for a drain; a second one, or an engine that has not ended some
    seconds after the grace period, ends the process at once with status 1, which costs nothing
    that was acknowledged: what a crash would leave is left. `epoch` and `grace` are seconds.

    Raises:
        FlowError: the dataflow failed; the cause is chained.
    """
    with _signals(drain, grace):
        try:
            cluster_main(
                flow,
                list(workers.addresses),
                workers.process_id,
                epoch_interval=timedelta(seconds=epoch),
                recovery_config=recovery,
                worker_count_per_proc=workers.threads,
            )
        except (NoPartitionsError, MissingPartitionsError, InconsistentPartitionsError) as error:
            raise FlowError(
                f"the recovery store is incomplete or mixed with another one ({error}); "
                "restore all of its files, or remove the state directory to start anew"
            ) from error
        except KeyboardInterrupt:
            return False
        except Exception as error:
            raise FlowError(root_cause(error)) from error
    return not (drain.requested and drain.under_way > 0)


def root_cause(error: BaseException) -> str:
    """The message of the first error in a chain, which is what a user can act on."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _signals(drain: Drain, grace: float) -> Iterator[None]:
    over = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if drain.requested:
            _force("second signal")
        drain.request()
        log.info("draining", signal=signal.Signals(number).name, grace_seconds=grace)
        threading.Thread(target=watch, name="last-resort", daemon=True).start()

    def watch() -> None:
        if not over.wait(grace + _LAST_RESORT):
            _force("grace period over")

    before = {number: signal.signal(number, on_signal) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _force(cause: str) -> None:
    """End the process where it stands: threads that hang cannot be joined."""
    log.error("forced to end", cause=cause)
    sys.stderr.flush()
    os._exit(1)
