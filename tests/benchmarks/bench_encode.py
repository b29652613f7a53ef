"""How fast samples become New Relic payloads, against the official telemetry SDK's own path.

    python -m tests.benchmarks.bench_encode [--rounds 5] [--json FILE]

The samples are 240 ticks of a simulated fleet of 20 brokers, 200 topics and 50 groups, as Arrow
batches. Ours encodes chunks as large as the spool's on as many threads as there are cores, as
the sender does; the SDK, which holds the interpreter's lock all the way, on one. Its path begins
with one dict a sample, for it knows nothing else: then `Event`, `EventBatch.record` and the
client's JSON and zlib; or `MetricBatch.record_gauge` for each number, and the same. Rates are
medians of wall time; `one_core` is by CPU time; `from_dicts` leaves the making of dicts out of
the SDK's time, as if samples were born so.
"""

import gzip
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from newrelic_telemetry_sdk import Event, EventBatch, EventClient, MetricBatch, MetricClient

from operators.schema.arrow import entity_type_of
from operators.simulate.settings import FleetSettings, SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import shards
from operators.ticks import Ticks
from sinks.newrelic.encode import events, metric_blocks
from sinks.newrelic.entity_names import with_names
from sinks.newrelic.payloads import payloads
from sinks.spool.store import CHUNK_ROWS
from tests.benchmarks.options import keep, parser_of
from tests.newrelic.conversions import COMMON
from tests.samples import NEW_YEAR

INTERVAL = 30_000
REQUIRED = {"events": 25.0, "metrics": 140.0}
"""How many times as fast as the SDK's path ours has to be, on one core."""
SDK_BATCH = 1_000
"""Samples of one of the SDK's payloads."""

Work = Callable[[], object]
Dicts = Sequence[dict[str, Any]]


def samples(ticks: int = 240) -> list[pa.RecordBatch]:
    """A simulated fleet's samples, one batch an entity type."""
    fleet = FleetSettings(name="bench", brokers=20, topics=200, groups=50)
    [spec] = shards(SimulationSettings(seed=1, fleets=(fleet,)))
    return Shard(spec, 1).step(Ticks(spec.cluster, NEW_YEAR, INTERVAL, ticks))


def chunks(batches: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Parts of at most `CHUNK_ROWS` rows."""
    return [
        b.slice(start, CHUNK_ROWS) for b in batches for start in range(0, b.num_rows, CHUNK_ROWS)
    ]


def as_events(batch: pa.RecordBatch) -> int:
    """Encode as events; gives the bytes of the bodies."""
    return sum(len(payload.body) for payload in payloads(events(batch)))


def as_metrics(batch: pa.RecordBatch) -> int:
    """Encode as metrics; gives the bytes of the bodies."""
    rows, _ = metric_blocks(batch, INTERVAL)
    return sum(len(payload.body) for payload in payloads(rows))


NAMES = COMMON | {"event_name": "entityName", "display_name": "displayName"}


def event_dicts(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Each sample as the SDK takes it: nulls left out, the time in milliseconds."""
    entity_type = entity_type_of(batch)
    named = with_names(batch)
    columns = {"timestamp": named.column("timestamp").cast(pa.int64())}
    columns |= {name: named.column(column) for column, name in NAMES.items()}
    columns |= {i.attribute: named.column(i.column) for i in entity_type.identity}
    for metric in entity_type.metrics:
        values = named.column(metric.name)
        if metric.event_alias:
            columns[metric.event_alias] = values
        scaled = metric.event_factor != 1
        columns[metric.name] = pc.multiply(values, metric.event_factor) if scaled else values
    rows = pa.RecordBatch.from_pydict(columns).to_pylist()
    return [
        {
            "eventType": entity_type.event_type,
            **{name: value for name, value in row.items() if value is not None},
        }
        for row in rows
    ]


def read_back(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The events in our payloads."""
    for payload in payloads(events(batch)):
        yield from json.loads(gzip.decompress(payload.body))


def sdk_events(items: Dicts) -> int:
    """The SDK's way from dicts to bodies of events; gives their bytes."""
    client, size = EventClient("key"), 0
    for start in range(0, len(items), SDK_BATCH):
        batch = EventBatch()
        for item in items[start : start + SDK_BATCH]:
            tags = dict(item)
            batch.record(Event(tags.pop("eventType"), tags, tags.pop("timestamp")))
        size += len(client._create_payload(*batch.flush(), None))
    return size


def sdk_metrics(items: Dicts) -> int:
    """The SDK's way from dicts to bodies of metrics; gives their bytes."""
    client, size = MetricClient("key"), 0
    for start in range(0, len(items), SDK_BATCH):
        batch = MetricBatch()
        for item in items[start : start + SDK_BATCH]:
            tags, numbers = _tags_and_numbers(item)
            for name, value in numbers:
                batch.record_gauge(name, value, tags)
        size += len(client._create_payload(*batch.flush()))
    return size


def _tags_and_numbers(item: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, float]]]:
    numbers = [(k, v) for k, v in item.items() if "." in k and not isinstance(v, str)]
    tags = {k: v for k, v in item.items() if "." not in k or isinstance(v, str)}
    return tags, numbers


def median(work: Work, rows: int, rounds: int, clock: Callable[[], float]) -> float:
    """Rows a second, the median of several rounds after one to warm up."""
    work()
    rates = []
    for _ in range(rounds):
        start = clock()
        work()
        rates.append(rows / (clock() - start))
    return statistics.median(rates)


def measure(rounds: int) -> dict[str, Any]:
    """Samples a second of both sides in both shapes, and the ratios."""
    batches = samples()
    few = [batch.slice(0, batch.num_rows // 40) for batch in batches]
    for batch in few:
        if list(read_back(batch)) != event_dicts(batch):
            raise AssertionError("both sides must make the same events")
    rows, few_rows = (sum(batch.num_rows for batch in group) for group in (batches, few))
    dicts, cores = [event_dicts(batch) for batch in few], len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"samples": rows, "cores": cores}
    with ThreadPoolExecutor(cores) as pool:
        for shape, ours, theirs in (
            ("events", as_events, sdk_events),
            ("metrics", as_metrics, sdk_metrics),
        ):

            def encode(ours: Callable[[pa.RecordBatch], int] = ours) -> None:
                list(pool.map(ours, chunks(batches)))

            def by_sdk(theirs: Callable[[Dicts], int] = theirs) -> None:
                for batch in few:
                    theirs(event_dicts(batch))

            def from_dicts(theirs: Callable[[Dicts], int] = theirs) -> None:
                for items in dicts:
                    theirs(items)

            for suffix, clock in (("", time.perf_counter), ("_one_core", time.process_time)):
                # Before and after the SDK, and the slower counts: machines are noisy.
                before = median(encode, rows, rounds, clock)
                slow = median(by_sdk, few_rows, rounds, clock)
                fast = min(before, median(encode, rows, rounds, clock))
                result[f"{shape}_per_second{suffix}"] = round(fast)
                result[f"sdk_{shape}_per_second{suffix}"] = round(slow)
                result[f"{shape}_ratio{suffix}"] = round(fast / slow, 1)
            born = median(from_dicts, few_rows, rounds, time.process_time)
            result[f"{shape}_ratio_from_dicts"] = round(fast / born, 1)
    return result


def main() -> int:
    """Measure and print; 1 where the ratio on one core is not reached in either shape."""
    parser = parser_of(__doc__, rounds=5)
    arguments = parser.parse_args()
    required = {f"required_{shape}_ratio": ratio for shape, ratio in REQUIRED.items()}
    result = {**measure(arguments.rounds), **required}
    for key, value in result.items():
        print(f"{key:34} {value}")
    keep(result, arguments.json)
    reached = all(result[f"{shape}_ratio_one_core"] >= ratio for shape, ratio in REQUIRED.items())
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
