"""No-op tasks a second through a pool with its statistics on, beside a bare asyncio loop.

Each row runs the same number of tasks in rounds over so many targets; the bare loop is a
PriorityQueue with as many workers and `asyncio.timeout`, but no keys, retries or statistics.
A second is one of CPU time: neither side ever waits, and a busy machine should not count.

    python -m tests.benchmarks.bench_pool [--tasks 200000] [--json FILE]
"""

import asyncio
from time import process_time

from operators.pool.batch import stream
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.ticks import Outcome
from tests.benchmarks.options import keep, parser_of

SIZE = 15
TARGETS = (100, 1_000, 10_000, 100_000)


async def no_op(item: object, left: float) -> None:
    """What costs nothing by itself."""


async def bare(targets: int, rounds: int) -> float:
    """CPU seconds of a plain PriorityQueue and workers."""
    queue: asyncio.PriorityQueue[tuple[int, int]] = asyncio.PriorityQueue()

    async def worker() -> None:
        while True:
            _, target = await queue.get()
            async with asyncio.timeout(10):
                await no_op(target, 10)
            queue.task_done()

    workers = [asyncio.create_task(worker()) for _ in range(SIZE)]
    begin = process_time()
    for _ in range(rounds):
        for target in range(targets):
            queue.put_nowait((1, target))
        await queue.join()
    seconds = process_time() - begin
    for task in workers:
        task.cancel()
    return seconds


async def pooled(targets: int, rounds: int) -> float:
    """CPU seconds of a pool: keys, deadlines and statistics as collection has them."""
    keys = [f"cluster-{target}/topics" for target in range(targets)]
    async with Pool("bench", PoolSettings(size=SIZE)) as pool:
        begin = process_time()
        for _ in range(rounds):
            ended = stream(pool, keys, no_op, key=str, deadline=30.0)
            async for _ in ended:
                pass
        seconds = process_time() - begin
        if pool.stats.outcomes[Outcome.COMPLETED] != targets * rounds:
            raise RuntimeError(f"not every task completed: {pool.stats}")
    return seconds


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--tasks", type=int, default=200_000, help="tasks a row")
    options = parser.parse_args()

    rows = []
    print(f"{'targets':>8} {'pool, tasks/s':>14} {'bare, tasks/s':>14} {'ratio':>6} {'µs/task':>8}")
    for targets in TARGETS:
        rounds = max(1, options.tasks // targets)
        tasks = targets * rounds
        pairs = [
            (asyncio.run(pooled(targets, rounds)), asyncio.run(bare(targets, rounds)))
            for _ in range(options.rounds)
        ]
        pool_seconds = min(seconds for seconds, _ in pairs)
        bare_seconds = min(seconds for _, seconds in pairs)
        row = {
            "targets": targets,
            "tasks": tasks,
            "pool_tasks_per_second": tasks / pool_seconds,
            "bare_tasks_per_second": tasks / bare_seconds,
            "ratio": bare_seconds / pool_seconds,
            "microseconds_per_task": 1e6 * pool_seconds / tasks,
        }
        rows.append(row)
        print(
            f"{targets:>8,} {row['pool_tasks_per_second']:>14,.0f} "
            f"{row['bare_tasks_per_second']:>14,.0f} {row['ratio']:>6.2f} "
            f"{row['microseconds_per_task']:>8.2f}"
        )
    keep(rows, options.json)


if __name__ == "__main__":
    main()
