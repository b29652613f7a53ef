"""A bare Bytewax flow with one silent source, in a process of its own: what the engine itself costs.

    python -m tests.benchmarks.bare_flow

It runs until it is ended by a signal.
"""

from datetime import UTC, datetime, timedelta

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

NEVER = timedelta(days=1)


class Silent(FixedPartitionedSource[int, None]):
    """One partition that never has anything."""

    def list_parts(self) -> list[str]:
        return ["only"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "_SilentPartition":
        return _SilentPartition()


class _SilentPartition(StatefulSourcePartition[int, None]):
    def next_batch(self) -> list[int]:
        return []

    def next_awake(self) -> datetime:
        return datetime.now(UTC) + NEVER

    def snapshot(self) -> None:
        return


class Nowhere(DynamicSink[int]):
    """Drops what comes."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_NowherePartition":
        return _NowherePartition()


class _NowherePartition(StatelessSinkPartition[int]):
    def write_batch(self, items: list[int]) -> None:
        return


def flow() -> Dataflow:
    """The source, and a sink."""
    flow = Dataflow("bare")
    op.output("out", op.input("in", flow, Silent()), Nowhere())
    return flow


if __name__ == "__main__":
    run_main(flow())
