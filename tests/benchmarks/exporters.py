"""What a scrape of a broker takes the exporters of others: time, processor, memory.

Each is a binary of yours that an environment variable names: `KAFKA_EXPORTER_BIN`, `KMINION_BIN`,
and `OTELCOL_BIN` for an OpenTelemetry Collector with its `kafkametrics` receiver and `debug`
exporter (the contrib distribution has both).
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import IO
from urllib.request import urlopen

from tests.benchmarks.measuring import memory
from tests.ports import PortClaim

COLLECTOR_INTERVAL = 10.0
"""Seconds between two scrapes of a Collector: longer than one takes."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """Medians of some scrapes, after a first one: seconds, and CPU seconds. Bytes at the end."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int


def measured(servers: str, scrapes: int) -> dict[str, Scraped]:
    """What `scrapes` scrapes of a cluster take each exporter that is named, one after another.

    Raises:
        RuntimeError: an exporter ended.
    """
    found = {name: os.environ.get(f"{name.upper()}_BIN") for name in MEASURES}
    return {name: MEASURES[name](path, servers, scrapes) for name, path in found.items() if path}


def _kafka_exporter(binary: str, servers: str, scrapes: int) -> Scraped:
    with PortClaim() as claim:
        listen = f"127.0.0.1:{claim.port}"
        flags = [f"--kafka.server={servers}", f"--web.listen-address={listen}"]
        with _running([binary, *flags, "--offset.show-all"], {}) as process:
            return _pages(process, f"http://{listen}/metrics", scrapes)


def _kminion(binary: str, servers: str, scrapes: int) -> Scraped:
    with PortClaim() as claim:
        environment = {
            "KAFKA_BROKERS": servers,
            "EXPORTER_HOST": "127.0.0.1",
            "EXPORTER_PORT": str(claim.port),
            "MINION_CONSUMERGROUPS_SCRAPEMODE": "adminApi",
            "MINION_LOGDIRS_ENABLED": "false",
        }
        with _running([binary], environment) as process:
            return _pages(process, f"http://127.0.0.1:{claim.port}/metrics", scrapes)


def _otelcol(binary: str, servers: str, scrapes: int) -> Scraped:
    """A Collector scrapes by its own clock: a scrape lasts from its tick to its line in the log."""
    receiver = {
        "brokers": [servers],
        "scrapers": ["brokers", "topics", "consumers"],
        "topic_match": ".*",
        "initial_delay": "1s",
        "collection_interval": f"{COLLECTOR_INTERVAL:g}s",
    }
    config = {
        "receivers": {"kafkametrics": receiver},
        "exporters": {"debug": {}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"encoding": "json"}},
            "pipelines": {"metrics": {"receivers": ["kafkametrics"], "exporters": ["debug"]}},
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.json")
        file.write_text(json.dumps(config))
        command = [binary, "--config", f"file:{file}"]
        with _running(command, {}, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            return _lines(process, process.stderr, scrapes)


MEASURES: Mapping[str, Callable[[str, str, int], Scraped]] = {
    "kafka_exporter": _kafka_exporter,
    "kminion": _kminion,
    "otelcol": _otelcol,
}


@contextmanager
def _running(
    command: list[str], environment: Mapping[str, str], stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _pages(process: subprocess.Popen[bytes], url: str, scrapes: int) -> Scraped:
    """Ask for a page again and again; the first ones wait for it to be there."""
    while not _answers(url):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        time.sleep(0.2)
    seconds, used = [], []
    for _ in range(scrapes):
        before, begun = _cpu_seconds(process.pid), time.perf_counter()
        _answers(url)
        seconds.append(time.perf_counter() - begun)
        used.append(_cpu_seconds(process.pid) - before)
    return Scraped(median(seconds), median(used), memory(process.pid))


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=600) as page:
            page.read()
    except OSError:
        return False
    return True


def _lines(process: subprocess.Popen[bytes], log: IO[bytes], scrapes: int) -> Scraped:
    """Follow the log from the first scrape on, whose tick is a second after the start."""
    ready = 0.0
    seconds: list[float] = []
    used: list[float] = []
    for line in log:
        entry = json.loads(line)
        at = datetime.fromisoformat(entry["ts"]).timestamp()
        if entry["level"] == "error":
            raise RuntimeError(f"the Collector could not scrape: {line.decode().strip()}")
        if entry["msg"].startswith("Everything is ready"):
            ready = at
        elif entry["msg"] == "Metrics":
            seconds.append(at - ready - 1 - COLLECTOR_INTERVAL * len(seconds))
            used.append(_cpu_seconds(process.pid))
        if len(seconds) > scrapes:
            each = [after - before for before, after in pairwise(used)]
            return Scraped(median(seconds[1:]), median(each), memory(process.pid))
    raise RuntimeError(f"{process.args!r} ended with {process.wait()}")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
