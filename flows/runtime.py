"""Running a dataflow to its end: workers, recovery, signals and a graceful end."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

from bytewax.dataflow import Dataflow, Operator
from bytewax.recovery import (
    InconsistentPartitionsError,
    MissingPartitionsError,
    NoPartitionsError,
    RecoveryConfig,
)
from bytewax.testing import cluster_main, run_main

from flows import again
from flows.again import HEARD_SIGNALS, StartAgain
from flows.errors import FlowError
from flows.peers import notice_silence
from flows.standard_streams import drain_all
from flows.state_disk import no_room, store_failure
from operators.drain import Drain
from operators.epochs import least_length
from operators.schedule import ClockSteps
from operators.schema.logs import Log

log = Log("mqpipe.runtime")

_LAST_RESORT = 5.0
"""Seconds after the grace period in which the engine itself must have ended."""


_LONGEST_HALT = 5.0
"""Seconds by which the clock may be set back without a new start, which costs about as much."""

_POLL = 0.2
_STDOUT, _STDERR = 1, 2


@dataclass(frozen=True, slots=True)
class Workers:
    """How a dataflow is spread: threads in this process, processes in the cluster."""

    threads: int = 1
    addresses: Sequence[str] = ()
    process_id: int = 0

    @property
    def processes(self) -> int:
        """How many processes there are."""
        return max(1, len(self.addresses))


def execute(
    flow: Dataflow,
    drain: Drain,
    workers: Workers,
    recovery: RecoveryConfig | None,
    grace: float,
    finish: Callable[[], None] = lambda: None,
    steps: ClockSteps | None = None,
    clock_set: Callable[[float], None] = lambda _seconds: None,
    reread: Callable[[], bool] | None = None,
) -> bool:
    """Run a dataflow until its sources end; True where it ended by itself or by a clean drain.

    `finish` is called once the engine has ended well: the last snapshot is stored by then.

    SIGTERM and SIGINT ask for a drain; a second one, or an engine that has not ended some
    seconds after the grace period, ends the process at once with status 1, which costs nothing
    that was acknowledged: what a crash would leave is left. `grace` is in seconds; epochs are the drain's.

    SIGHUP asks for a drain too, unless there is `reread`: that is asked then whether to drain and to
    start again, with what it has read. What it is not asked of a cluster's process: it ends alone.

    `steps` is looked at for steps of the wall clock, and `clock_set` called with each, in seconds.

    Where the disk of the recovery store is nearly full it drains too: the engine ends in a
    panic, or does not end, when that store cannot be written.

    Raises:
        FlowError: the dataflow failed, the cause is chained; or the disk was nearly full.
        StartAgain: the clock was set back so far that the engine stands still; it is left as
            it is, and nothing but another start goes on from there. Or all has ended, for it is to
            go on with what was read at SIGHUP.
    """
    epoch_interval = timedelta(seconds=least_length(drain.epoch))
    steps = steps or ClockSteps()
    kept = again.kept()
    if kept is not None and kept.stopping:
        drain.request()

    def work() -> None:
        if workers.threads == 1 and not workers.addresses:
            # A worker in this very thread: one in a thread of its own is waited for in a loop of
            # a millisecond, which costs 1 % of a core.
            run_main(flow, epoch_interval=epoch_interval, recovery_config=recovery)
        else:
            cluster_main(
                flow,
                list(workers.addresses),
                workers.process_id,
                epoch_interval=epoch_interval,
                recovery_config=recovery,
                worker_count_per_proc=workers.threads,
            )
        finish()

    with _signals(drain, reread is not None) as (signals, hangups), _quiet_stdout(workers):
        engine, heeded, full = _Engine(work), 0, None
        restart_since: float | None = None
        watched = not workers.addresses
        while not engine.ended(_POLL):
            heeded = _heed(signals, heeded, grace, drain.now())
            if hangups and reread is not None and not drain.requested:
                hangups.clear()
                if _may_reread(workers) and reread():
                    log.info("draining", signal="SIGHUP", follows="a start with what was read")
                    restart_since = drain.now()
                    drain.request()
            if restart_since is not None and drain.now() - restart_since > grace + _LAST_RESORT:
                break
            if step := steps.look():
                _say_step(step)
                clock_set(step)
                if step < -_LONGEST_HALT:
                    raise StartAgain(lambda: bool(signals) or drain.requested)
            if recovery is not None and full is None and (full := no_room(recovery.db_dir)):
                log.error("draining", cause=full)
                drain.request()
            if drain.opened and not watched:
                watched = True
                notice_silence(workers.addresses)
            if workers.addresses and drain.requested and not drain.opened:
                log.info("ended before all processes of the cluster were there")
                return True
        if restart_since is not None and engine.error is None and full is None and not signals:
            raise StartAgain(lambda: bool(signals))
    if engine.error is not None:
        raise FlowError(_explained(engine.error, workers, recovery)) from engine.error
    if full is not None:
        raise FlowError(full)
    if drain.requested and drain.under_way > 0:
        log.error("ticks were given up: the grace period was over", ticks=drain.under_way)
        return False
    return True


def stateful_steps(flow: Dataflow) -> frozenset[str]:
    """The ids of the steps of a dataflow that the recovery store keeps state of."""
    found: set[str] = set()

    def visit(steps: Sequence[Operator]) -> None:
        for step in steps:
            if type(step).__name__ in ("input", "output", "stateful_batch"):
                found.add(step.step_id)
            visit(getattr(step, "substeps", ()))

    visit(flow.substeps)
    return frozenset(found)


class _Engine:
    """The engine in a thread of its own.

    While it waits for other processes it sees no signals; the main thread does. A thread that
    still waits does not keep the process from ending.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def ended(self, timeout: float) -> bool:
        """Wait for its end for so many seconds."""
        return self._ended.wait(timeout)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
        finally:
            self._ended.set()


def _explained(error: BaseException, workers: Workers, recovery: RecoveryConfig | None) -> str:
    if isinstance(error, NoPartitionsError | MissingPartitionsError | InconsistentPartitionsError):
        return (
            f"the recovery store is incomplete or mixed with another one ({error}); "
            "restore all of its files, or move the folder `recovery` away: the job then starts over, and "
            "what waits for its sinks on disk is kept"
        )
    cause = root_cause(error)
    if recovery is not None and (failure := store_failure(recovery.db_dir, cause)) is not None:
        return failure
    if workers.addresses and not isinstance(error, Exception):
        return (
            f"another process of the cluster is gone ({error}), and a cluster ends as a whole; "
            "start all processes again, they go on where the last snapshot was"
        )
    return cause


def root_cause(error: BaseException) -> str:
    """The message of the first error in a chain, which is what a user can act on.

    An error that was raised `from None` says itself what its cause was.
    """
    while (cause := _cause(error)) is not None:
        error = cause
    return str(error) or type(error).__name__


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@contextlib.contextmanager
def _quiet_stdout(workers: Workers) -> Iterator[None]:
    """Standard output carries results only, but there the engine reports that it waits for others.

    Processes of a cluster have no results, so it stays closed for them.
    """
    if workers.addresses:
        os.dup2(_STDERR, _STDOUT)
    try:
        yield
    finally:
        if workers.addresses:
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), _STDOUT)


@dataclass(frozen=True, slots=True)
class _Signal:
    number: int
    at: float


def _may_reread(workers: Workers) -> bool:
    if workers.addresses:
        log.warning(
            "not reread: a process of a cluster does not start again alone; stop all of them, and "
            "start them with the configuration as it is now"
        )
    return not workers.addresses


@contextlib.contextmanager
def _signals(drain: Drain, rereads: bool) -> Iterator[tuple[list[_Signal], list[int]]]:
    """Signals as they come: those that stop, of which the first asks for the drain, and SIGHUPs.

    A SIGHUP stops too, unless the process rereads its configuration then; where whoever started it
    had it ignored (`nohup`), it is.

    No more than that is done where they are caught: that may be in the middle of a log line,
    whose lock another line would wait for, for ever.
    """
    received: list[_Signal] = []
    hangups: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if rereads and number == signal.SIGHUP:
            hangups.append(number)
        else:
            received.append(_Signal(number, drain.now()))
            drain.request()

    heard = [
        number
        for number in HEARD_SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    ]
    before = {number: signal.signal(number, on_signal) for number in heard}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD_SIGNALS)
    try:
        yield received, hangups
    except StartAgain:
        before.clear()  # What is asked now is heard by the next life.
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heed(signals: Sequence[_Signal], heeded: int, grace: float, now: float) -> int:
    """Report the first signal, end at the second or when it is high time; how many were heeded."""
    count = len(signals)
    if count and not heeded:
        name = signal.Signals(signals[0].number).name
        log.info("draining", signal=name, grace_seconds=grace)
    if count > 1:
        _force("second signal")
    if count and now - signals[0].at > grace + _LAST_RESORT:
        _force("grace period over")
    return count


def _say_step(step: float) -> None:
    if step > 0:
        what, follows = "clock set forward", "the ticks that it skipped are over"
    elif step < -_LONGEST_HALT:
        what, follows = "clock set back", "starting again from the last snapshot"
    else:
        what, follows = "clock set back", "waiting until it is where it was"
    log.warning(what, seconds=round(abs(step), 3), follows=follows)


def _force(cause: str) -> None:
    """End the process where it stands: threads that hang cannot be joined."""
    log.error("forced to end", cause=cause)
    drain_all()
    os._exit(1)
