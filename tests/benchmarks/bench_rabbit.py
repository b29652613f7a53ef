"""What does a tick of RabbitMQ cost, beside reading all of `/api/queues`?

A real RabbitMQ of one node with many queues, each with a message, is asked in turn as nri-rabbitmq and
OpenTelemetry's receiver do (one GET of `/api/queues`, parsed) and by a tick of mqpipe to derived samples,
both by one process on the same server. Rounds alternate; the medians count: seconds, and seconds of a
processor that RabbitMQ took. Once in a minute or two a tick reads details of the queues (`details_…`), another
asks what they are (`list_…`), and one counts dead letters (`letters_…`): all are bounded as the others are.

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

import operators.rabbitmq.collector
from operators.derive.operator import ClusterDerivation
from operators.rabbitmq.collector import RabbitCollector
from operators.rabbitmq.derive import RABBIT_RULES
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


KINDS = ("all", "tick", "details", "list", "letters")


def due(kind: str) -> None:
    """Let what a kind of tick reads once a minute be due, and nothing else."""
    module = operators.rabbitmq.collector
    module.DETAILS_FOR = 0 if kind == "details" else ENDLESS
    module.LISTED_FOR = 0 if kind == "list" else ENDLESS
    module.DEAD_LETTERS_FOR = 0 if kind == "letters" else ENDLESS


async def measure(node: Node, queues: int, rounds: int) -> dict[str, Any]:
    """Seconds, and RabbitMQ's processor time, of each kind."""
    settings = settings_of(node, reader="prometheus")
    collector, derivation = RabbitCollector(settings), ClusterDerivation("rabbit", RABBIT_RULES)
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    server: dict[str, list[float]] = {kind: [] for kind in KINDS}
    own = []
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for number in range(3):
            await one_tick(collector, derivation, number, 120)
        for turn in range(rounds * len(KINDS)):
            kind = KINDS[turn % len(KINDS)]
            due(kind)
            await asyncio.sleep(STATISTICS)
            for _ in range(3 if kind == "tick" else 1):
                number += 1
                before, mine, start = processor_seconds(node), time.process_time(), time.monotonic()
                if kind == "all":
                    async with session.get(f"{node.url}/api/queues") as answer:
                        found = len(json.loads(await answer.read()))
                else:
                    found = rows_in(await one_tick(collector, derivation, number, 120))
                    own.append(time.process_time() - mine)
                seconds[kind].append(time.monotonic() - start)
                server[kind].append(processor_seconds(node) - before)
                assert found == queues, (kind, found)
    await collector.close()
    median = statistics.median
    figures = {"queues": queues, "tick_processor_seconds": median(own)}
    for kind in KINDS:
        figures |= {
            f"{kind}_seconds": median(seconds[kind]),
            f"{kind}_share": median(seconds[kind]) / median(seconds["all"]),
            f"server_{kind}": median(server[kind]),
        }
    return figures


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
        and figures[f"{kind}_share"] <= MOST_SHARE
        and figures[f"server_{kind}"] < figures["server_all"]
        for kind in KINDS[1:]
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
