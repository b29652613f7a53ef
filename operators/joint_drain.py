"""Processes of a cluster end together: where one is asked to drain, all are.

Each worker reports to all processes once it emits no more ticks; a process that hears of one drains
too, and ends when it has heard of all of them.
"""

from datetime import datetime

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from operators.drain import Drain
from operators.schedule import Alarm
from operators.slack import rest
from operators.thread_state import keep_thread_state

EARS = 256
"""Partitions that hear of a drain: fixed for ever, at least one for each worker of a cluster."""

Notice = tuple[str, int]
"""Which partition it is for, and the worker that drains."""


def drain_together(step_id: str, flow: Dataflow, drain: Drain) -> None:
    """Pass a request to drain, which is this process's, on to all processes.

    By it each worker also has a source of its own, which stays open as long as anything is under
    way in its process, even where that process has no targets and no shards.
    """
    asked = op.input(f"{step_id}_asked", flow, _NoticeSource(drain))
    op.output(f"{step_id}_told", asked, _NoticeSink(drain))


class _NoticeSource(DynamicSource[Notice]):
    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_AskedPartition":
        keep_thread_state()  # Here, for it is the one thing that each worker's thread does.
        self._drain.open(worker_count)
        return _AskedPartition(self._drain, worker_index)


class _AskedPartition(StatelessSourcePartition[Notice]):
    def __init__(self, drain: Drain, worker: int) -> None:
        self._drain = drain
        self._worker = worker
        self._reported = False
        self._alarm = Alarm(epoch=drain.epoch)

    def next_batch(self) -> list[Notice]:
        if not self._drain.under_way:
            rest()
        if self._drain.requested and not self._reported:
            self._reported = True
            return [(str(ear), self._worker) for ear in range(EARS)]
        if self._drain.may_end:
            raise StopIteration
        return []

    def next_awake(self) -> datetime | None:
        return self._alarm.at(self._drain.next_look())


class _NoticeSink(FixedPartitionedSink[int, None]):
    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    def list_parts(self) -> list[str]:
        return [str(ear) for ear in range(EARS)]

    def part_fn(self, item_key: str) -> int:
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "_NoticePartition":
        return _NoticePartition(self._drain)


class _NoticePartition(StatefulSinkPartition[int, None]):
    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    def write_batch(self, values: list[int]) -> None:
        for worker in values:
            self._drain.hear(worker)

    def snapshot(self) -> None:
        return
