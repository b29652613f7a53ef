"""A backend is down for a while: does everything arrive, is memory flat, do others keep time?

    python -m tests.benchmarks.bench_outage [--sink otlp] [--rate 20000] [--up 15] [--down 600]

A job writes `rate` samples a second to New Relic, or with `--sink otlp` to an OTLP receiver, ten
ticks a second, and beside them, on the same worker, a probe ticks every 100 ms into a sink that
notes how late it is. The backend answers for `up` seconds, refuses connections for `down` seconds, and answers again until the spool is
empty. Exit 1 where a sample is missing, memory grew by more than 100 MB during the outage, or
the probe's 99th percentile is over 100 ms meanwhile.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import bytewax.operators as op
import numpy as np
import pyarrow as pa
from aiohttp import web
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from operators.schema.arrow import sample_batch
from operators.schema.metrics import TOPIC
from sinks.newrelic.settings import NewRelicSettings
from sinks.otlp.settings import OtlpSettings
from tests.benchmarks.child_costs import memory
from tests.benchmarks.options import keep, parser_of
from tests.newrelic.payload import LICENSE_KEY
from tests.newrelic.server import ServerThread
from tests.newrelic.stand_in import StandIn
from tests.ports import PortClaim
from tests.sink_jobs import job_in

TICK = 0.1
"""Seconds."""
Item = tuple[str, Any]


class _Ticks(StatefulSourcePartition[Item, None]):
    """One item a tick: when it was due, and its samples where the partition has any."""

    def __init__(self, name: str, rows: int, seconds: float) -> None:
        self._name, self._rows = name, rows
        self._due = time.time() + TICK
        self._until = self._due + seconds
        self._columns: dict[str, Any] = {
            metric.name: np.random.default_rng(1).lognormal(3, 1, rows)
            for metric in TOPIC.metrics
            if metric.type == pa.float64()
        }
        self._entities = pa.array([f"{name}/{n}" for n in range(rows)]).dictionary_encode()

    def next_batch(self) -> list[Item]:
        if self._due >= self._until:
            raise StopIteration
        item = (self._name, self._samples() if self._rows else self._due)
        self._due += TICK
        return [item]

    def next_awake(self) -> datetime:
        return datetime.fromtimestamp(self._due, UTC)

    def snapshot(self) -> None:
        return None

    def _samples(self) -> pa.RecordBatch:
        columns: dict[str, Any] = {
            "timestamp": np.full(self._rows, round(self._due * 1000)),
            "entity_guid": self._entities,
            "entity_name": self._entities,
            "topic": self._entities,
            "cluster_name": self._name,
            "provider": "kafka",
            "environment": "bench",
            "origin": "simulated",
            **self._columns,
        }
        return sample_batch(TOPIC, self._rows, columns)


class _Source(FixedPartitionedSource[Item, None]):
    def __init__(self, parts: list[str], rows: int, seconds: float) -> None:
        self._parts, self._rows, self._seconds = parts, rows, seconds

    def list_parts(self) -> list[str]:
        return self._parts

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Ticks:
        return _Ticks(for_part, self._rows, self._seconds)


class _Lateness(DynamicSink[Item]):
    """Notes when the probe's ticks were due, and how late they arrive, in seconds."""

    def __init__(self) -> None:
        self.late: list[tuple[float, float]] = []

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_LatenessPartition":
        return _LatenessPartition(self.late)


class _LatenessPartition(StatelessSinkPartition[Item]):
    def __init__(self, late: list[tuple[float, float]]) -> None:
        self._late = late

    def write_batch(self, items: list[Item]) -> None:
        self._late += [(due, time.time() - due) for _, due in items]


def job(sink: str, endpoint: str, rate: int, seconds: float, directory: Path) -> None:
    """The job; prints what it saw as JSON."""
    to = {"endpoint": endpoint, "spool": {"path": directory / "spool"}}
    settings = (
        OtlpSettings.model_validate(to)
        if sink == "otlp"
        # Events alone, so that what arrives can be held against what was written: one for each.
        else NewRelicSettings.model_validate({"license_key": LICENSE_KEY, "shape": "events", **to})
    )
    lateness, resident = _Lateness(), list[tuple[float, float]]()
    clusters = 5
    flow = Dataflow("outage")
    parts = [f"cluster-{n}" for n in range(clusters)]
    rows = round(rate * TICK / clusters)
    written = 0

    def counted(item: Item) -> Item:
        nonlocal written
        written += item[1].num_rows
        return item

    made = op.input("samples", flow, _Source(parts, rows, seconds))
    samples = op.map("counted", made, counted)
    job = job_in(directory, account_id=1, interval=round(TICK * 1000), grace_left=lambda: 3_600.0)
    op.output(sink, samples, settings.sink().open(job).output)
    probe = op.input("probe", flow, _Source(["probe"], 0, seconds))
    op.output("lateness", probe, lateness)

    def watch() -> None:
        while True:
            resident.append((time.time(), memory() / 1e6))
            time.sleep(TICK)

    threading.Thread(target=watch, daemon=True).start()
    run_main(flow, epoch_interval=timedelta(seconds=1))
    # However long it took to begin.
    start = lateness.late[0][0] - TICK
    print(
        json.dumps(
            {
                "late": [(due - start, seconds) for due, seconds in lateness.late],
                "memory": [(at - start, mb) for at, mb in resident],
                "written": written,
                "dead_letter_files": len(list((directory / "dead").rglob("*.parquet"))),
                "seconds": round(time.time() - start, 1),
            }
        )
    )


class _Receiver:
    """An OTLP receiver that only counts samples, by the points of one metric that each has."""

    def __init__(self, on_request: Callable[[int], None]) -> None:
        self._on_request = on_request
        self._claim = PortClaim()
        self._server = ServerThread(self._handle, self._claim.port)
        self.endpoint = f"http://127.0.0.1:{self._claim.port}"
        self.up, self.down = self._server.up, self._server.down

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._claim.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = pa.CompressedInputStream(pa.BufferReader(await request.read()), "zstd").read()
        self._on_request(
            sum(
                len(metric.gauge.data_points)
                for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
                if metric.name == _COUNTED
            )
        )
        return web.Response()


_COUNTED = "topic.errorRate"


def measure(sink: str, rate: int, up: float, down: float) -> dict[str, Any]:
    """Run the job beside a stand-in that goes down and comes back."""
    kept: list[int] = []
    seconds = up + down + up
    server = (
        _Receiver(kept.append)
        if sink == "otlp"
        else StandIn(keep=False, on_request=lambda request: kept.append(request.kept))
    )
    with server as backend, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.benchmarks.bench_outage", "--job", folder]
        command += ["--endpoint", backend.endpoint, "--rate", str(rate), "--seconds", str(seconds)]
        command += ["--sink", sink]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            time.sleep(up)
            backend.down()
            time.sleep(down)
            backend.up()
            output, _ = process.communicate()
    seen: dict[str, Any] = json.loads(output.splitlines()[-1])
    late, resident = seen.pop("late"), seen.pop("memory")
    result: dict[str, Any] = {
        "rate": rate,
        "down_seconds": down,
        "arrived": sum(kept),
        "ticks": len(late),
        "missing_ticks": round(late[-1][0] / TICK) - len({round(due / TICK) for due, _ in late}),
    }
    phases = {"before": (0.0, up), "during": (up, up + down), "after": (up + down, math.inf)}
    for phase, (start, end) in phases.items():
        own = sorted(seconds for due, seconds in late if start <= due < end)
        result[f"memory_{phase}_mb"] = round(max(mb for at, mb in resident if start <= at < end))
        result[f"late_{phase}_median_ms"] = round(statistics.median(own) * 1000, 1)
        result[f"late_{phase}_p99_ms"] = round(own[int(len(own) * 0.99)] * 1000, 1)
    return {**result, **seen}


def main() -> int:
    """Measure and print; 1 where it does not hold."""
    parser = parser_of(__doc__)
    parser.add_argument("--sink", choices=("newrelic", "otlp"), default="newrelic")
    parser.add_argument("--rate", type=int, default=20_000, help="samples a second")
    parser.add_argument("--up", type=float, default=15.0, help="seconds before and after")
    parser.add_argument("--down", type=float, default=600.0, help="seconds of the outage")
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--endpoint", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job is not None:
        job(
            arguments.sink,
            arguments.endpoint,
            arguments.rate,
            arguments.seconds,
            arguments.job,
        )
        return 0
    result = measure(arguments.sink, arguments.rate, arguments.up, arguments.down)
    for key, value in result.items():
        print(f"{key:24} {value}")
    keep(result, arguments.json)
    holds = (
        result["arrived"] >= result["written"]
        and result["memory_during_mb"] - result["memory_before_mb"] < 100
        and result["late_during_p99_ms"] < 100
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
