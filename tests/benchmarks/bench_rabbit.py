"""What does a tick of RabbitMQ cost, beside reading all of `/api/queues`?

A real RabbitMQ of one node with many queues, each with a message, is asked in turn as nri-rabbitmq and
OpenTelemetry's receiver do (one GET of `/api/queues`, parsed) and by a tick of mqpipe to derived samples,
both by one process on the same server. Rounds alternate; the medians count: seconds, and seconds of a
processor that RabbitMQ took. Once in a minute or two, between two ticks, details of the queues are read
(`details_…`), what they are (`list_…`) and the count of dead letters (`letters_…`): each of these is bounded as
ticks are, by itself in seconds, and with the tick before it (`before_…`) in RabbitMQ's processor. So are the first three
ticks of a start, which have no connection and no list yet.

    python -m tests.benchmarks.bench_rabbit [--queues 10000] [--rounds 3] [--json FILE]
"""

import asyncio
import base64
import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp

from operators.derive.operator import ClusterDerivation
from operators.rabbitmq.collector import RabbitCollector
from operators.rabbitmq.derive import RABBIT_RULES
from operators.rabbitmq.turns import DUE, Turn
from tests.benchmarks.options import keep, parser_of
from tests.rabbitmq.collected_rows import one_tick, settings_of
from tests.rabbitmq.server import PASSWORD, USER, Node, RabbitServer
from tests.rabbitmq.traffic import channel, publish, until

MOST_SECONDS, MOST_SHARE = 5.0, 0.25
"""Of a tick; and of the time that the other way takes."""

USUAL = "collect_statistics_interval = 5000"
"""As RabbitMQ is without a configuration."""

STATISTICS = 3.0
"""Seconds between two askings: RabbitMQ keeps an answer for some, and its own statistics go on."""


ENDLESS = 1e9
"""Seconds."""


def fill(node: Node, queues: int) -> None:
    """Queues, each with a message."""
    names = [f"queue-{number:05d}" for number in range(queues)]
    made = [
        {"name": name, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
        for name in names
    ]
    node.api("definitions", "POST", {"queues": made})
    with channel(node) as on:
        for name in names:
            publish(on, name, 1)
        until(lambda: node.api("overview")["queue_totals"].get("messages") == queues, 120)


def processor_seconds(node: Node) -> float:
    """What RabbitMQ's process has taken."""
    pid = node.api("nodes?columns=os_pid")[0]["os_pid"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


BETWEEN = {"details": Turn.DETAILS, "list": Turn.LIST, "letters": Turn.DEAD_LETTERS}
"""What is read between ticks."""
KINDS = ("all", "tick", *BETWEEN, "first")
FIRST = ("first", "second", "third")
"""Ticks of one that has just started."""


async def measure(node: Node, queues: int, rounds: int) -> dict[str, Any]:
    """Seconds, and RabbitMQ's processor time, of each kind."""
    seconds: dict[str, list[float]] = defaultdict(list)
    server: dict[str, list[float]] = defaultdict(list)
    own = []
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    async def timed(kind: str, work: Callable[[], Awaitable[object]], begun: float) -> None:
        """`begun` is what RabbitMQ's process had taken before."""
        start = time.monotonic()
        await work()
        seconds[kind].append(time.monotonic() - start)
        server[kind].append(processor_seconds(node) - begun)

    async def read_all() -> None:
        async with session.get(f"{node.url}/api/queues") as answer:
            assert len(json.loads(await answer.read())) == queues

    async def tick(kind: str, ticking: Ticking) -> float:
        before, mine = processor_seconds(node), time.process_time()
        await timed(kind, ticking.tick, before)
        own.append(time.process_time() - mine)
        assert ticking.rows == queues, ticking.rows
        return before

    headers = {"Authorization": f"Basic {login}"}
    async with aiohttp.ClientSession(headers=headers) as session, Ticking(node) as ticking:
        for _ in range(3):
            await ticking.tick()
            await ticking.settled()
        for turn in range(rounds * len(KINDS)):
            kind = KINDS[turn % len(KINDS)]
            await asyncio.sleep(STATISTICS)
            DUE.update(dict.fromkeys(Turn, ENDLESS))
            if kind == "all":
                await timed(kind, read_all, processor_seconds(node))
            elif kind == "tick":
                for _ in range(3):
                    await tick(kind, ticking)
            elif kind in BETWEEN:
                DUE[BETWEEN[kind]] = 0
                before = await tick(f"before_{kind}", ticking)
                await timed(kind, ticking.settled, before)
            else:
                async with Ticking(node) as fresh:
                    for number in FIRST:
                        await tick(number, fresh)
                        await fresh.settled()
    median = statistics.median
    figures = {"queues": queues, "tick_processor_seconds": median(own)}
    for kind, took in seconds.items():
        figures |= {
            f"{kind}_seconds": median(took),
            f"{kind}_share": median(took) / median(seconds["all"]),
            f"server_{kind}": median(server[kind]),
        }
    return figures


class Ticking:
    """A collector that ticks, and the rates of its counters."""

    def __init__(self, node: Node) -> None:
        self._collector = RabbitCollector(settings_of(node, reader="prometheus"))
        self._derivation = ClusterDerivation("rabbit", RABBIT_RULES)
        self._number = 0
        self.rows = 0

    async def tick(self) -> None:
        """Make the next tick."""
        found = await one_tick(self._collector, self._derivation, self._number, 120)
        self._number += 1
        self.rows = rows_in(found)

    async def settled(self) -> None:
        """Wait for what is read between two ticks."""
        await self._collector.settled()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._collector.close()


def rows_in(tick: Any) -> int:
    """How many samples of queues a tick has."""
    return sum(b.num_rows for b in tick["queues"].batches if "queue.depth" in b.schema.names)


def main() -> int:
    """Print the figures; 1 where a bound is not kept."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--queues", type=int, default=10_000, help="default: 10000")
    options = parser.parse_args()
    with RabbitServer(more=USUAL) as server:
        fill(server.first, options.queues)
        figures = asyncio.run(measure(server.first, options.queues, options.rounds))
    for name, value in figures.items():
        print(f"{name:24} {value:10.3f}")
    keep(figures, options.json)
    kept = all(
        figures[f"{kind}_seconds"] <= MOST_SECONDS
        and share <= MOST_SHARE
        and figures[f"server_{kind}"] < figures["server_all"]
        for name, share in figures.items()
        if (kind := name.removesuffix("_share")) not in (name, "all")
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
