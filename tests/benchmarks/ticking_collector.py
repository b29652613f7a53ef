"""One collector in a process of its own that ticks when it is told, for any build of mqpipe.

Each line on standard input is a tick: all kinds at once, collected and derived. Each line on
standard output says how many samples it gave. The script asks the build whose interpreter runs it:

    PATH/.venv/bin/python tests/benchmarks/ticking_collector.py HOST:PORT [--partition-offsets]
        [--no-group-topics] [--no-outlook]
"""

import asyncio
import gc
import sys
from contextlib import ExitStack
from unittest.mock import patch

from operators.collect.settings import ClusterSettings
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.ticks import Collected, Outcome, TargetKind, TickResult, Ticks

try:
    from operators.collect.cluster_collector import ClusterCollector
except ModuleNotFoundError:  # 85bbb6c has it elsewhere
    from operators.collect.collector import ClusterCollector  # type: ignore[import-not-found, no-redef]

INTERVAL = 30_000
TIMEOUT = 60.0


async def tick(collector: ClusterCollector, derivation: ClusterDerivation, number: int) -> int:
    """One tick of all kinds, collected and derived: how many samples it gave."""

    async def collect(kind: TargetKind) -> tuple[Ticks, Collected]:
        due = Ticks("bench", number * INTERVAL, INTERVAL, kind=kind)
        return due, await collector.collect(due, TIMEOUT)

    samples = 0
    for due, found in await asyncio.gather(*(collect(kind) for kind in TargetKind)):
        if found.error:
            raise RuntimeError(found.error)
        result = TickResult(due, Outcome.COMPLETED, found.batches, found.raw, 1)
        samples += sum(batch.num_rows for batch in derivation.derive(result).batches)
    return samples


async def nothing(*_: object) -> None:
    """In place of what is asked for the outlook's sake."""


def without_outlook() -> ExitStack:
    """Neither ask for retention and open transactions, nor say whether groups will lose messages."""
    from operators.collect.reading.limits import NOT_KNOWN
    from operators.collect.reading.open_transactions import OpenTransactions
    from operators.derive import groups

    async def unlimited(*_: object) -> tuple[object, None]:
        return NOT_KNOWN, None

    patched = ExitStack()
    for target, name, instead in (
        (ClusterCollector, "_limits", unlimited),
        (OpenTransactions, "of", nothing),
        (groups, "outlook_of", lambda *_: (None, None)),
        (groups, "joined", lambda *_: {}),
        (groups, "with_paces", lambda commits, *_: commits),
    ):
        patched.enter_context(patch.object(target, name, instead))
    return patched


async def main() -> None:
    """Tick as often as it is told."""
    given = {
        "name": "bench",
        "bootstrap_servers": sys.argv[1],
        "partition_offsets": "--partition-offsets" in sys.argv,
    }
    if "--no-group-topics" in sys.argv:
        given["group_topics"] = 0  # a build that knows no such rows is not told of them
    if "--no-outlook" in sys.argv:
        without_outlook()
    settings = ClusterSettings.model_validate(given)
    collector, derivation = ClusterCollector(settings), ClusterDerivation("bench", KAFKA_RULES)
    gc.freeze()  # As a run does.
    print("ready", flush=True)
    number = 0
    while await asyncio.to_thread(sys.stdin.readline):
        number += 1
        print(await tick(collector, derivation, number), flush=True)
    await collector.close()


if __name__ == "__main__":
    asyncio.run(main())
