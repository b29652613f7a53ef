"""Brokers' own metrics, from the pages of the Prometheus JMX exporter on each of them."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import aiohttp

from operators.collect.errors import CollectionError, Problem
from operators.collect.names import Names

MAX_PAGE = 32 << 20
"""Bytes of a page that is read; a bigger one is refused."""

_CHUNK = 1 << 16

BROKER_COUNTERS: Mapping[str, str] = {
    "kafka_server_brokertopicmetrics_messagesin_total": "broker.messagesInPerSecond",
    "kafka_server_brokertopicmetrics_bytesin_total": "broker.IOInPerSecond",
    "kafka_server_brokertopicmetrics_bytesout_total": "broker.IOOutPerSecond",
    "kafka_server_brokertopicmetrics_bytesrejected_total": "net.bytesRejectedPerSecond",
    "kafka_server_brokertopicmetrics_failedproducerequests_total": (
        "request.produceRequestsFailedPerSecond"
    ),
    "kafka_server_brokertopicmetrics_failedfetchrequests_total": (
        "request.clientFetchesFailedPerSecond"
    ),
    "kafka_server_replicamanager_isrshrinks_total": "replication.isrShrinksPerSecond",
    "kafka_server_replicamanager_isrexpands_total": "replication.isrExpandsPerSecond",
    "kafka_controller_controllerstats_leaderelectionrateandtimems_count": (
        "replication.leaderElectionPerSecond"
    ),
    "kafka_controller_controllerstats_uncleanleaderelections_total": (
        "replication.uncleanLeaderElectionPerSecond"
    ),
    "kafka_log_logflushstats_logflushrateandtimems_count": "broker.logFlushPerSecond",
}
"""Counters of a broker, and the columns that their rates are."""

PRODUCES = "kafka_server_brokertopicmetrics_totalproducerequests_total"
FETCHES = "kafka_server_brokertopicmetrics_totalfetchrequests_total"
FAILED_PRODUCES = "kafka_server_brokertopicmetrics_failedproducerequests_total"
FAILED_FETCHES = "kafka_server_brokertopicmetrics_failedfetchrequests_total"
BYTES_IN = "kafka_server_brokertopicmetrics_bytesin_total"
BYTES_OUT = "kafka_server_brokertopicmetrics_bytesout_total"

TOPIC_COUNTERS = (BYTES_IN, BYTES_OUT, PRODUCES, FETCHES, FAILED_PRODUCES, FAILED_FETCHES)
"""Counters that a page has for each topic too."""

_MEAN = "kafka_network_requestmetrics_totaltimems_mean"
_QUANTILE = "kafka_network_requestmetrics_totaltimems"
_REQUEST_GAUGES: Mapping[tuple[str, str], str] = {
    (_MEAN, "Fetch"): "request.avgTimeFetch",
    (_MEAN, "Metadata"): "request.avgTimeMetadata",
    (_MEAN, "Produce"): "request.avgTimeProduceRequest",
    (_QUANTILE, "Fetch"): "request.fetchTime99Percentile",
    (_QUANTILE, "Produce"): "request.produceTime99Percentile",
}
_IDLE = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent"
_CONTROLLER = "kafka_controller_kafkacontroller_activecontrollercount"
_CPU = "java_lang_operatingsystem_processcpuload"
_HEAP_USED = "jvm_memory_used_bytes"
_HEAP_MAX = "jvm_memory_max_bytes"
_SIZE = "kafka_log_log_size"

_NAMES = sorted(
    {
        *BROKER_COUNTERS,
        *TOPIC_COUNTERS,
        *(_MEAN, _QUANTILE, _IDLE, _CONTROLLER, _CPU, _HEAP_USED, _HEAP_MAX, _SIZE),
    }
)
# Only what is used is looked at: a full parser takes 2 s for a page of 20,000 series, this 40 ms.
_LINE = re.compile(rf"^({'|'.join(_NAMES)})(?:\{{([^}}\n]*)\}})? ([^ \n]+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Page:
    """What one broker's page says."""

    at: int
    """When it came, in ms since the epoch."""
    gauges: Mapping[str, float]
    """Values by the column of a broker's sample."""
    counters: Mapping[str, float]
    """Since the broker's start, by their name on the page."""
    topic_counters: Mapping[tuple[str, str], float]
    """The same by name and topic; a topic without traffic has none."""
    sizes: Mapping[str, int]
    """Bytes on this broker's disks, by topic."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages that came, by broker id, and why others did not."""

    pages: Mapping[int, Page]
    problems: tuple[Problem, ...] = ()

    @property
    def sizes(self) -> Mapping[int, Mapping[str, int]]:
        """Bytes on a broker's disks by topic, by broker id."""
        return {broker: page.sizes for broker, page in self.pages.items()}


def parse_page(text: str, at: int) -> Page | None:
    """What a page in Prometheus' text format says; None where it has nothing of a broker.

    Units are those of the columns: shares in percent, times in ms, counters since the start.
    """
    gauges: dict[str, float] = {}
    counters: dict[str, float] = {}
    topic_counters: dict[tuple[str, str], float] = {}
    sizes: defaultdict[str, int] = defaultdict(int)
    heap: dict[str, float] = {}
    for name, label_text, value_text in _LINE.findall(text):
        try:
            value = float(value_text)
        except ValueError:
            continue
        if not isfinite(value):
            continue
        labels = dict(_LABEL.findall(label_text))
        if name == _SIZE:
            if "topic" in labels:
                sizes[labels["topic"]] += int(value)
        elif name in BROKER_COUNTERS or name in TOPIC_COUNTERS:
            if "topic" in labels:
                topic_counters[name, labels["topic"]] = value
            else:
                counters[name] = value
        elif name in (_MEAN, _QUANTILE):
            column = _REQUEST_GAUGES.get((name, labels.get("request", "")))
            if column and labels.get("quantile", "0.99") == "0.99":
                gauges[column] = value
        elif name in (_HEAP_USED, _HEAP_MAX):
            if labels.get("area") == "heap":
                heap[name] = value
        elif name == _IDLE:
            gauges["request.handlerIdle"] = min(100.0, 100 * value)
        elif name == _CPU and value >= 0:  # below 0 the virtual machine does not know it
            gauges["broker.cpuUsage"] = 100 * value
        elif name == _CONTROLLER:
            gauges["broker.isController"] = int(value > 0)
    if heap.get(_HEAP_MAX, 0) > 0 and _HEAP_USED in heap:
        gauges["broker.memoryUsage"] = 100 * heap[_HEAP_USED] / heap[_HEAP_MAX]
    if not counters:
        return None
    return Page(at, gauges, counters, topic_counters, dict(sizes))


class PageReader:
    """Reads the pages of a cluster's brokers, all at once."""

    def __init__(self, cluster: str, urls: Mapping[int, str]) -> None:
        self._cluster = cluster
        self._urls = urls
        self._names = Names()
        self._session: aiohttp.ClientSession | None = None

    async def read(self, timeout: float) -> Pages:
        """Every page that comes within `timeout` seconds; a broker's trouble is its own."""
        if not self._urls:
            return Pages({})
        found = await asyncio.gather(
            *(self._read_one(broker, url, timeout) for broker, url in self._urls.items())
        )
        pages = dict(zip(self._urls, found, strict=True))
        return Pages(
            {broker: page for broker, page in pages.items() if isinstance(page, Page)},
            tuple(page for page in found if isinstance(page, Problem)),
        )

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._names.close()

    async def _read_one(self, broker: int, url: str, timeout: float) -> Page | Problem:
        what = f"{self._cluster}: metrics page of broker {broker} ({without_password(url)})"
        try:
            async with asyncio.timeout(timeout):
                text = await self._fetch(url, what)
                page = await asyncio.to_thread(parse_page, text, time.time_ns() // 1_000_000)
        except CollectionError as error:
            return error.problem
        except TimeoutError:
            return Problem("timeout", f"{what}: no answer within {timeout:.1f} s")
        except aiohttp.ClientConnectorError as error:
            return Problem("refused", f"{what}: {error.os_error}")
        except aiohttp.ClientConnectionError as error:
            return Problem("refused", f"{what}: {error}")
        except (aiohttp.ClientError, UnicodeDecodeError) as error:
            return Problem("page", f"{what}: {error}")
        if page is None:
            text = "has no Kafka metrics; run the exporter with docker/jmx-exporter.yml"
            return Problem("page", f"{what}: {text}")
        return page

    async def _fetch(self, url: str, what: str) -> str:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=self._names)
            self._session = aiohttp.ClientSession(connector=connector)
        body = bytearray()
        async with self._session.get(url) as response:
            if response.status != 200:
                raise CollectionError(Problem("page", f"{what}: answers {response.status}"))
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > MAX_PAGE:
                    raise CollectionError(
                        Problem("page", f"{what}: is bigger than {MAX_PAGE >> 20} MiB")
                    )
        return body.decode()


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", url)
