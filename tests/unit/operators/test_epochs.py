"""Sources that are asked at different times end their epochs together."""

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSink, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.epochs import SLACK, EpochEnds, least_length
from operators.schedule import Alarm

LENGTH = 5.0
BEGIN = 1_000_000.0
BEGUN = 50
"""Epochs after which those that began anywhere end at multiples."""
EPOCHS = 120


@dataclass
class Asked:
    """A source as the engine asks it: every so many seconds, late by some."""

    every: float
    late: float
    ends: EpochEnds
    asked_at: float = BEGIN
    began: float = BEGIN
    epochs: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    served_at: float = BEGIN


def run_engine(sources: list[Asked], clock: list[float], chance: random.Random) -> None:
    """The engine's rule: an epoch ends by the first asking after its length; who is ahead is not asked."""
    while min(len(source.epochs) for source in sources) < EPOCHS:
        source = min(sources, key=lambda source: source.asked_at)
        clock[0] = max(clock[0], source.asked_at)
        if len(source.epochs) > min(len(other.epochs) for other in sources):
            source.asked_at = clock[0] + 0.001
            continue
        source.pauses.append(clock[0] - source.served_at)
        source.served_at = clock[0]
        source.asked_at = source.ends.awake_at(clock[0] + source.every)
        source.asked_at += chance.uniform(0, source.late)
        if clock[0] - source.began >= least_length(LENGTH):
            source.epochs.append(clock[0])
            source.began = clock[0]
            source.ends.ended()


@pytest.mark.parametrize("seed", range(12))
def test_no_source_gets_ahead_of_another(seed: int) -> None:
    """However often each is asked, and however late, after many epochs as after the first."""
    chance = random.Random(seed)
    kinds = [
        (
            chance.choice([0.05, 0.3, chance.uniform(0.05, 4)]),
            chance.choice([0, chance.uniform(0, SLACK / 2)]),
        )
        for _ in range(chance.choice([2, 3]))
    ]
    since = chance.uniform(0, LENGTH)
    clock = [BEGIN + since]
    sources = [
        Asked(
            every, late, EpochEnds(LENGTH, lambda: clock[0]), clock[0], clock[0], served_at=clock[0]
        )
        for every, late in kinds
    ]
    run_engine(sources, clock, chance)
    latest = max(late for _, late in kinds)
    for ends in list(zip(*(source.epochs[:EPOCHS] for source in sources), strict=True))[BEGUN:]:
        assert max(ends) - min(ends) <= 2 * SLACK + 2 * latest + 0.01
    for source in sources:
        # Nearly as often as it asked for, though it waits for the others.
        assert max(source.pauses) <= source.every + LENGTH / 4 + BEGUN * latest + 0.01
        assert max(source.pauses[-20:]) <= source.every + 2 * SLACK + 4 * latest + 0.01


@given(st.floats(0.05, 60), st.floats(0, 100))
def test_epochs_end_at_multiples_of_their_length(length: float, since: float) -> None:
    """By the wall clock, so that those of other workers and processes do too."""
    now = [BEGIN + since]
    ends = EpochEnds(length, lambda: now[0])
    for _ in range(100):
        now[0] = ends.awake_at(now[0] + 10 * length)
        ends.ended()
    assert min(now[0] % length, -now[0] % length) < 1e-6 * length + 1e-6


class Part(StatefulSourcePartition[int, None]):
    """Asks to be asked every so many seconds, and keeps when its epochs ended."""

    def __init__(self, every: float, epoch: float, epochs: int, ended: list[float]) -> None:
        self._every = timedelta(seconds=every)
        self._alarm = Alarm(epoch=epoch)
        self._epochs = epochs
        self._ended = ended

    def next_batch(self) -> list[int]:
        if len(self._ended) >= self._epochs:
            raise StopIteration
        return [1]

    def next_awake(self) -> datetime | None:
        return self._alarm.at(datetime.now(UTC) + self._every)

    def snapshot(self) -> None:
        self._alarm.epoch_ended()
        self._ended.append(time.monotonic())


class Source(FixedPartitionedSource[int, None]):
    """One such partition."""

    def __init__(self, *of: Any) -> None:
        self._of = of

    def list_parts(self) -> list[str]:
        return ["one"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> Part:
        return Part(*self._of)


def test_bytewax_ends_the_epochs_of_two_sources_together() -> None:
    """One is asked six times as often: without more it is soon ahead by a whole epoch."""
    epoch, epochs = 0.4, 12
    flow = Dataflow("epochs")
    often: list[float] = []
    seldom: list[float] = []
    for name, every, ended in (("often", 0.02, often), ("seldom", 0.12, seldom)):
        source = Source(every, epoch, epochs, ended)
        op.output(f"{name}_out", op.input(name, flow, source), TestingSink([]))
    run_main(flow, epoch_interval=timedelta(seconds=least_length(epoch)))
    apart = sorted(abs(one - other) for one, other in zip(often, seldom, strict=True))
    assert apart[len(apart) // 2] < epoch / 4, apart


@pytest.mark.parametrize(("epoch", "least"), [(60.0, 58.8), (5.0, 4.9), (1.0, 0.9), (0.2, 0.15)])
def test_the_engine_may_end_an_epoch_a_little_early(epoch: float, least: float) -> None:
    """A tenth of a second or a fiftieth; of a short one a quarter."""
    assert least_length(epoch) == pytest.approx(least)
