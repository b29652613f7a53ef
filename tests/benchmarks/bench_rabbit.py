"""What does a tick of RabbitMQ cost, beside reading all of `/api/queues`?

A real RabbitMQ of one node with many queues, each with a message, is asked in turn as nri-rabbitmq and
OpenTelemetry's receiver do (one GET of `/api/queues`, parsed) and by a tick of mqpipe to derived samples,
both by one process on the same server. Rounds alternate; the medians count: seconds, and seconds of a
processor that RabbitMQ took. One tick a minute reads details of the queues and asks what they are, besides:
that is measured as the first tick of a new collector (`full_…`), and bounded by the same seconds.

    python -m tests.benchmarks.bench_rabbit [--queues 10000] [--rounds 3] [--json FILE]
"""

import asyncio
import base64
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from operators.derive.operator import ClusterDerivation
from operators.rabbitmq.collector import RabbitCollector
from tests.benchmarks.options import keep, parser_of
from tests.rabbitmq.collecting import one_tick, settings_of
from tests.rabbitmq.server import PASSWORD, USER, Node, RabbitServer
from tests.rabbitmq.traffic import channel, publish, until

MOST_SECONDS, MOST_SHARE = 5.0, 0.25
"""Of a tick; and of the time that the other way takes."""

USUAL = "collect_statistics_interval = 5000"
"""As RabbitMQ is without a configuration."""

STATISTICS = 3.0
"""Seconds between two askings: RabbitMQ keeps an answer for some, and its own statistics go on."""


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


async def measure(node: Node, queues: int, rounds: int) -> dict[str, Any]:
    """Seconds, and RabbitMQ's processor time, of both."""
    settings = settings_of(node, reader="prometheus")
    collector, derivation = RabbitCollector(settings), ClusterDerivation("rabbit")
    seconds: dict[str, list[float]] = {"tick": [], "all": [], "full": []}
    server: dict[str, list[float]] = {"tick": [], "all": [], "full": []}
    own = []
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        await one_tick(collector, derivation, 0, 120)
        number = 0
        for turn in range(rounds * 3):
            kind = ("all", "tick", "full")[turn % 3]
            await asyncio.sleep(STATISTICS)
            for _ in range(3 if kind == "tick" else 1):
                number += 1
                before, mine, start = processor_seconds(node), time.process_time(), time.monotonic()
                if kind == "all":
                    async with session.get(f"{node.url}/api/queues") as answer:
                        found = len(json.loads(await answer.read()))
                elif kind == "full":
                    fresh = RabbitCollector(settings)
                    tick = await one_tick(fresh, ClusterDerivation("rabbit"), number, 120)
                    found = rows_in(tick)
                    await fresh.close()
                else:
                    tick = await one_tick(collector, derivation, number, 120)
                    found = rows_in(tick)
                    own.append(time.process_time() - mine)
                seconds[kind].append(time.monotonic() - start)
                server[kind].append(processor_seconds(node) - before)
                assert found == queues, (kind, found)
    await collector.close()
    median = statistics.median
    return {
        "queues": queues,
        "tick_seconds": median(seconds["tick"]),
        "all_seconds": median(seconds["all"]),
        "share": median(seconds["tick"]) / median(seconds["all"]),
        "full_seconds": median(seconds["full"]),
        "full_share": median(seconds["full"]) / median(seconds["all"]),
        "tick_processor_seconds": median(own),
        "server_full": median(server["full"]),
        "server_tick": median(server["tick"]),
        "server_all": median(server["all"]),
    }


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
    kept = figures["full_seconds"] <= MOST_SECONDS and figures["share"] <= MOST_SHARE
    kept &= figures["server_tick"] < figures["server_all"]
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
