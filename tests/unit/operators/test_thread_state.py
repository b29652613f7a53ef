"""Threads of the engine are the same ones to Python from call to call."""

import threading
from collections.abc import Callable

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.testing import TestingSink, cluster_main

from operators.thread_state import keep_thread_state


class Remembering(DynamicSource[bool]):
    """Each worker says ten times whether its thread still has what it was given at the start."""

    def __init__(self, at_start: Callable[[], None]) -> None:
        self.at_start = at_start
        self.local = threading.local()

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_Worker":
        """Give this worker's thread something."""
        self.at_start()
        self.local.given = True
        return _Worker(self.local)


class _Worker(StatelessSourcePartition[bool]):
    def __init__(self, local: threading.local) -> None:
        self.local, self.left = local, 10

    def next_batch(self) -> list[bool]:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return [hasattr(self.local, "given")]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("at_start", "kept"), [(keep_thread_state, True), (lambda: None, False)])
def test_a_thread_of_the_engine_keeps_its_state(
    workers: int, at_start: Callable[[], None], kept: bool
) -> None:
    """Where that was asked for; otherwise it is recreated at each call, which costs time."""
    flow, found = Dataflow("threads"), list[bool]()
    op.output("found", op.input("workers", flow, Remembering(at_start)), TestingSink(found))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)
    assert len(found) == 10 * workers
    assert all(found) == kept


def test_keeping_it_again_changes_nothing() -> None:
    """Also on a thread of Python's own, which ends as ever."""

    def twice() -> None:
        keep_thread_state()
        keep_thread_state()

    thread = threading.Thread(target=twice)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
