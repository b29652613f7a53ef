"""The engine's thread is woken rarely while nothing is under way, and when it asks to be otherwise."""

import ctypes
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.testing import TestingSink, run_main

from operators import slack
from operators.background import Background
from operators.drain import Drain
from operators.joint_drain import drain_together
from operators.offload import offload
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.slack import RESTING, attend, rest
from operators.ticks import Collected, Ticks

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has timer slack")

_PR_GET_TIMERSLACK = 30


def found() -> int:
    """This thread's timer slack, in nanoseconds."""
    return int(ctypes.CDLL(None).prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0))


@linux
def test_a_thread_rests_and_attends_as_often_as_it_is_set() -> None:
    """What it had before comes back, and no other thread is concerned."""

    def reported() -> list[int]:
        seen = [found()]
        for tell in (rest, rest, attend, attend, rest):
            tell()
            seen.append(found())
        return seen

    with ThreadPoolExecutor(1) as one:
        before, *seen = one.submit(reported).result()
    assert seen == [RESTING, RESTING, before, before, RESTING]
    assert found() == before


def test_where_there_is_no_such_thing_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has no `prctl`."""
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delattr(slack, "ctypes")
    with ThreadPoolExecutor(1) as one:
        one.submit(rest).result()
        one.submit(attend).result()


class _OneTick(DynamicSource[tuple[str, Ticks]]):
    """A tick, once its thread `rests`; open until the drain lets it end."""

    def __init__(self, drain: Drain, rests: Callable[[], bool]) -> None:
        self.drain, self.rests = drain, rests

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_OneTickPartition":
        """The engine runs one worker here."""
        return _OneTickPartition(self.drain, self.rests)


class _OneTickPartition(StatelessSourcePartition[tuple[str, Ticks]]):
    def __init__(self, drain: Drain, rests: Callable[[], bool]) -> None:
        self.drain, self.rests, self.due = drain, rests, True

    def next_batch(self) -> list[tuple[str, Ticks]]:
        if self.due and self.rests():
            self.due = False
            return [("a", Ticks("a", 0, 30_000, kind="topics"))]
        if self.drain.may_end:
            raise StopIteration
        return []


@linux
def test_the_engine_rests_until_a_tick_is_under_way() -> None:
    """And again once it has come back."""
    drain, background = Drain(look=0.01, settle=0.0), Background()
    engine, at_work = list[int](), list[int]()

    def rests() -> bool:
        engine.append(threading.get_native_id())
        return found() == RESTING

    async def work(_tick: Ticks, _left: float) -> Collected:
        at_work.append(int(Path(f"/proc/{engine[-1]}/timerslack_ns").read_text()))
        return Collected()

    def came(item: object) -> object:
        drain.request()
        return item

    def run() -> int:
        run_main(flow)
        return found()

    pool = Pool("topics", PoolSettings(), loop=background.loop)
    flow = Dataflow("rest")
    ticks = op.input("ticks", flow, _OneTick(drain, rests))
    results = offload(
        "collect", ticks, work, {"topics": pool}, drain, deadline=lambda _: 30.0, clock=lambda: 0.0
    )
    op.output("out", op.map("came", results, came), TestingSink([]))
    drain_together("drain", flow, drain)
    with ThreadPoolExecutor(1) as one:
        at_end = one.submit(run).result()
    background.run(pool.close())
    background.close()
    assert [0 < told < RESTING for told in at_work] == [True]
    assert at_end == RESTING, "the last look found nothing under way"
