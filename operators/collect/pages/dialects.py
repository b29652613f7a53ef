"""What brokers' metrics pages call things: one table of all usual sets of rules.

A Kafka broker's metrics are MBeans; rules of the Prometheus JMX exporter give them names, and
every usual set of rules gives others. A page may hold several at once, so it is not asked which
set it was made by: each of its series is looked up here by its name, in lower case, and its
labels. Of several series that report the same the one with the lowest rank counts.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

MESSAGES_IN = "kafka_server_brokertopicmetrics_messagesin_total"
BYTES_IN = "kafka_server_brokertopicmetrics_bytesin_total"
BYTES_OUT = "kafka_server_brokertopicmetrics_bytesout_total"
BYTES_REJECTED = "kafka_server_brokertopicmetrics_bytesrejected_total"
PRODUCES = "kafka_server_brokertopicmetrics_totalproducerequests_total"
FETCHES = "kafka_server_brokertopicmetrics_totalfetchrequests_total"
FAILED_PRODUCES = "kafka_server_brokertopicmetrics_failedproducerequests_total"
FAILED_FETCHES = "kafka_server_brokertopicmetrics_failedfetchrequests_total"
ISR_SHRINKS = "kafka_server_replicamanager_isrshrinks_total"
ISR_EXPANDS = "kafka_server_replicamanager_isrexpands_total"
UNCLEAN_ELECTIONS = "kafka_controller_controllerstats_uncleanleaderelections_total"
ELECTIONS = "kafka_controller_controllerstats_leaderelectionrateandtimems_count"
FLUSHES = "kafka_log_logflushstats_logflushrateandtimems_count"
REQUESTS = "kafka_network_requestmetrics_totaltimems_count/"
COLLECTIONS = "jvm_gc_collection_seconds_count"
IDLE = "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_count"
PROCESSOR_TIME = "process_cpu_seconds_total"
"""Of one processor."""
PROCESSOR_SHARE = "process_cpu_seconds_total/processors"
"""Of all processors."""

HANDLER_IDLE = "request.handlerIdle"
CPU_USAGE = "broker.cpuUsage"
DISK_SIZE = "topic.diskSize"
UPTIME = "broker.uptime"
HEAP_USED = "broker.heapUsed"
HEAP_MAX = "broker.heapMax"
STARTED = "started"
"""When the process began, in s since the epoch."""
PROCESSORS = "processors"
MEMORY_AVAILABLE = "memory available"
MEMORY_FREE = "memory free"
MEMORY_ALLOCATED = "memory allocated"
LATENCIES = "latencies/"
"""With a request and the upper bound of a bucket (s): requests that took no longer."""
LATENCY_SUM = "latency/"
"""With a request: the seconds that all such requests took."""

BROKER_COUNTERS: Mapping[str, str] = {
    MESSAGES_IN: "broker.messagesInPerSecond",
    BYTES_IN: "broker.IOInPerSecond",
    BYTES_OUT: "broker.IOOutPerSecond",
    BYTES_REJECTED: "net.bytesRejectedPerSecond",
    FAILED_PRODUCES: "request.produceRequestsFailedPerSecond",
    FAILED_FETCHES: "request.clientFetchesFailedPerSecond",
    ISR_SHRINKS: "replication.isrShrinksPerSecond",
    ISR_EXPANDS: "replication.isrExpandsPerSecond",
    ELECTIONS: "replication.leaderElectionPerSecond",
    UNCLEAN_ELECTIONS: "replication.uncleanLeaderElectionPerSecond",
    FLUSHES: "broker.logFlushPerSecond",
    f"{REQUESTS}Produce": "request.produceRequestsPerSecond",
    f"{REQUESTS}Fetch": "request.fetchRequestsPerSecond",
    f"{REQUESTS}FetchConsumer": "request.fetchConsumerRequestsPerSecond",
    f"{REQUESTS}FetchFollower": "request.fetchFollowerRequestsPerSecond",
    COLLECTIONS: "broker.gcCollectionsPerSecond",
    IDLE: HANDLER_IDLE,
    PROCESSOR_TIME: CPU_USAGE,
    PROCESSOR_SHARE: CPU_USAGE,
}
"""Counters of a broker, and the columns that their rates are.

Their names are those that docker/jmx-exporter.yml gives; they lie in the state of a run.
"""

TOPIC_COUNTERS = (BYTES_IN, BYTES_OUT, PRODUCES, FETCHES, FAILED_PRODUCES, FAILED_FETCHES)
"""Counters that are wanted of each topic too."""

MEANS: Mapping[str, str] = {
    "Produce": "request.avgTimeProduceRequest",
    "Fetch": "request.avgTimeFetch",
    "FetchConsumer": "request.avgTimeFetchConsumer",
    "FetchFollower": "request.avgTimeFetchFollower",
    "Metadata": "request.avgTimeMetadata",
}
"""Columns of a request's mean time, by the name that brokers give the request."""

PERCENTILES: Mapping[str, str] = {
    "Produce": "request.produceTime99Percentile",
    "Fetch": "request.fetchTime99Percentile",
    "FetchConsumer": "request.fetchConsumerTime99Percentile",
    "FetchFollower": "request.fetchFollowerTime99Percentile",
}
"""Columns of the 99th percentile of a request's time."""


REPORTS: Mapping[str, str] = {
    **BROKER_COUNTERS,
    STARTED: UPTIME,
    **{f"{LATENCY_SUM}{request}": column for request, column in MEANS.items()},
    **{f"{LATENCIES}{request}/": column for request, column in PERCENTILES.items()},
}
"""Columns by what they are made of."""


class SeriesForm(StrEnum):
    """How a series reports its value."""

    TOTAL = "total"
    """A count since the broker's start, whose growth over time is wanted."""
    RATE = "rate"
    """The mean per second of the last minute."""
    VALUE = "value"
    """What it is now."""


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """What a series reports. Series of one meaning are summed."""

    key: str
    """The counter, or the column of a gauge, that it reports."""
    form: SeriesForm
    source: str
    """The MBean and its attribute, or what else has to be on a page for it."""
    rank: int = 0
    """Of the meanings for one column the lowest counts that is on the page."""
    dialect: str = ""
    """Whose name for it this is; empty where several have it."""
    scale: float = 1.0
    """What its value is multiplied with for the unit that is wanted."""
    topic: str | None = None
    """The label that names the topic; None where a topic is of no interest."""
    summed: bool = False
    """Whether only topics have such a series, and the broker's own is their sum."""
    by: str | None = None
    """The label whose value is the end of the key."""
    counted: bool = False
    """Whether the series are counted, whatever their values."""

    @property
    def reports(self) -> str:
        """What it competes for with others: a column, or a counter that is no column by itself."""
        return REPORTS.get(self.key, self.key)


PageSeries = tuple[str, Mapping[str, str | None], Meaning]
"""A name in lower case, what labels it must have (None: that it may not have), and what it reports.

Labels have Kafka's own names here; rules may write those in lower case too.
"""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a set of rules names an attribute of an MBean `domain:type=…,name=…`.

    In the templates `{b}` is `kafka_<domain>_<type>`, `{n}` the MBean's name and `{s}` the name
    without `PerSec`, all in lower case. One that ends with `?` has the name in a label `name`.
    The further keys of an MBean are labels.
    """

    name: str
    count: tuple[str, ...] = ()
    """Of meters, timers and histograms."""
    meter_count: tuple[str, ...] = ()
    """Of meters only."""
    rate: tuple[str, ...] = ()
    """One-minute rates."""
    mean: tuple[str, ...] = ()
    percentile: tuple[str, ...] = ()
    """99th percentiles; such with a label `quantile` have the same name as others."""
    quantile: tuple[str, ...] = ()
    """99th percentiles with a label `quantile`."""
    value: tuple[str, ...] = ()


REDPANDA = "Redpanda"

_ITSELF = "{b}_{n}"
"""What an MBean is called without an attribute: percentiles, if so called, have a `quantile`."""

DIALECTS: tuple[Dialect, ...] = (
    # The rules in docker/, the exporter's examples for Kafka, Strimzi's. Agents from 0.10 on add
    # `_total` to whatever their rules call a COUNTER.
    Dialect(
        "examples of jmx_exporter",
        count=("{b}_{n}_count", "{b}_{n}_count_total"),
        meter_count=("{b}_{s}_total",),
        mean=("{b}_{n}_mean",),
        quantile=(_ITSELF,),
        value=(_ITSELF,),
    ),
    # The agent without rules, or with a pattern that names nothing: Amazon MSK's open monitoring.
    Dialect(
        "agent without rules",
        count=("{b}_count?",),
        rate=("{b}_oneminuterate?",),
        mean=("{b}_mean?",),
        percentile=("{b}_99thpercentile?",),
        value=("{b}_value?",),
    ),
    Dialect(
        "Bitnami",
        count=("{b}_total_{n}_count",),
        rate=("{b}_total_{n}_oneminuterate", "{b}_{n}_oneminuterate"),
        percentile=("{b}_{n}_99thpercentile",),
        value=("{b}_total_{n}_value", "{b}_{n}_value"),
    ),
    Dialect(
        "Confluent",
        count=(_ITSELF, "{b}_{n}_total"),
        rate=("{b}_{n}_oneminuterate_alltopics",),
    ),
)


@dataclass(frozen=True, slots=True)
class _Bean:
    domain: str
    type: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()
    only: str = ""
    """Which brokers have it, where not all have."""

    def source(self, attribute: str) -> str:
        """The MBean and its attribute as the exporter's rules name them."""
        keys = "".join(f",{key}={value}" for key, value in self.labels)
        of = f"kafka.{self.domain}:type={self.type},name={self.name}{keys} {attribute}"
        return f"{of}, {self.only}" if self.only else of

    def series(self, template: str) -> tuple[str, Mapping[str, str | None]]:
        """The name and labels that a template makes of it."""
        name = template.removesuffix("?").format(
            b=f"kafka_{self.domain}_{self.type}".lower(),
            n=self.name.lower(),
            s=self.name.lower().removesuffix("persec"),
        )
        own = {"name": self.name} if template.endswith("?") else {}
        return name, {**dict(self.labels), **own}

    def counted(self, templates: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, str | None]]]:
        """Names and labels of its count; one that is called as a percentile has no quantile."""
        for template in templates:
            name, labels = self.series(template)
            yield name, {**labels, "quantile": None} if template == _ITSELF else labels


_CONTROLLERS = "which only controllers have"

_METERS: tuple[tuple[_Bean, str], ...] = (
    *(
        (_Bean("server", "BrokerTopicMetrics", f"{name}PerSec"), key)
        for name, key in (
            ("MessagesIn", MESSAGES_IN),
            ("BytesIn", BYTES_IN),
            ("BytesOut", BYTES_OUT),
            ("BytesRejected", BYTES_REJECTED),
            ("TotalProduceRequests", PRODUCES),
            ("TotalFetchRequests", FETCHES),
            ("FailedProduceRequests", FAILED_PRODUCES),
            ("FailedFetchRequests", FAILED_FETCHES),
        )
    ),
    (_Bean("server", "ReplicaManager", "IsrShrinksPerSec"), ISR_SHRINKS),
    (_Bean("server", "ReplicaManager", "IsrExpandsPerSec"), ISR_EXPANDS),
    (
        _Bean("controller", "ControllerStats", "UncleanLeaderElectionsPerSec", only=_CONTROLLERS),
        UNCLEAN_ELECTIONS,
    ),
)
_TIMERS: tuple[tuple[_Bean, str], ...] = (
    (
        _Bean("controller", "ControllerStats", "LeaderElectionRateAndTimeMs"),
        ELECTIONS,
    ),
    (_Bean("log", "LogFlushStats", "LogFlushRateAndTimeMs"), FLUSHES),
)
_GAUGES: tuple[tuple[_Bean, str], ...] = (
    (
        _Bean("server", "ReplicaManager", "UnderMinIsrPartitionCount"),
        "replication.underMinIsrPartitions",
    ),
    (
        _Bean("server", "ReplicaFetcherManager", "MaxLag", (("clientId", "Replica"),)),
        "replication.maxLag",
    ),
    (_Bean("network", "RequestChannel", "RequestQueueSize"), "request.queueSize"),
    *(
        (
            _Bean(
                "server",
                "DelayedOperationPurgatory",
                "PurgatorySize",
                (("delayedOperation", operation),),
            ),
            f"request.{operation.lower()}PurgatorySize",
        )
        for operation in ("Produce", "Fetch")
    ),
    (
        _Bean("controller", "KafkaController", "ActiveControllerCount", only=_CONTROLLERS),
        "broker.isController",
    ),
    (_Bean("log", "Log", "Size"), DISK_SIZE),
)
_POOL = _Bean("server", "KafkaRequestHandlerPool", "RequestHandlerAvgIdlePercent")


def _meters() -> Iterator[PageSeries]:
    for beans, are_meters in ((_METERS, True), (_TIMERS, False)):
        for bean, key in beans:
            topic = "topic" if bean.type == "BrokerTopicMetrics" else None
            for rank, dialect in enumerate(DIALECTS):
                source = bean.source("Count")
                total = Meaning(key, SeriesForm.TOTAL, source, rank, dialect.name, topic=topic)
                templates = (*dialect.count, *(dialect.meter_count if are_meters else ()))
                yield from ((*series, total) for series in bean.counted(templates))
                rate = Meaning(key, SeriesForm.RATE, source, rank + 10, dialect.name, topic=topic)
                for template in dialect.rate:
                    yield (*bean.series(template), rate)


def _requests() -> Iterator[PageSeries]:
    """Of each kind of request: a broker has one only once it came, the others stand for it."""
    for request, mean in MEANS.items():
        bean = _Bean("network", "RequestMetrics", "TotalTimeMs", (("request", request),))
        source = bean.source("").replace(request, "…")
        slowest = PERCENTILES.get(request)
        counter = f"{REQUESTS}{request}"
        for rank, dialect in enumerate(DIALECTS):
            means = Meaning(mean, SeriesForm.VALUE, f"{source}Mean", rank)
            yield from ((*bean.series(template), means) for template in dialect.mean)
            if counter in BROKER_COUNTERS:
                count = Meaning(counter, SeriesForm.TOTAL, f"{source}Count", rank)
                yield from ((*series, count) for series in bean.counted(dialect.count))
            if slowest is not None:
                of_99 = Meaning(slowest, SeriesForm.VALUE, f"{source}99thPercentile", rank)
                yield from ((*bean.series(template), of_99) for template in dialect.percentile)
                for template in dialect.quantile:
                    name, labels = bean.series(template)
                    yield name, {**labels, "quantile": "0.99"}, of_99


def _gauges() -> Iterator[PageSeries]:
    for bean, key in _GAUGES:
        topic = "topic" if key == DISK_SIZE else None
        for rank, dialect in enumerate(DIALECTS):
            value = Meaning(key, SeriesForm.VALUE, bean.source("Value"), rank, topic=topic)
            for template in dialect.value:
                name, labels = bean.series(template)
                yield name, labels, value
                further = dict(bean.labels)
                if "clientId" in further:  # so it is by Bitnami's rules
                    yield name, {"client_id": further["clientId"]}, value
                if "delayedOperation" in further and template == "{b}_{n}_value":
                    operation = further["delayedOperation"].lower()
                    yield f"{name.removesuffix('_value')}_{operation}_value", {}, value


def _idle() -> Iterator[PageSeries]:
    """The share of the last minute; else by the growth of nanoseconds; else since the start.

    What rules of the examples' kind call `…idle_percent` is the last in all but ours, which
    export no nanoseconds.
    """
    source = _POOL.source("OneMinuteRate")
    minute = Meaning(HANDLER_IDLE, SeriesForm.VALUE, source, scale=100)
    for template in ("{b}_{n}_oneminuterate", "{b}_total_{n}_oneminuterate", "{b}_oneminuterate?"):
        yield (*_POOL.series(template), minute)
    for rank, dialect in enumerate(DIALECTS, 1):
        counted = Meaning(IDLE, SeriesForm.TOTAL, source, rank, scale=1e-7)
        for template in dialect.count:
            if not template.endswith("{n}_total"):
                yield (*_POOL.series(template), counted)
    ever = Meaning(HANDLER_IDLE, SeriesForm.VALUE, source, rank=20, scale=100)
    for template in ("{b}_meanrate?", "{b}_{n}_meanrate"):
        yield (*_POOL.series(template), ever)
    name, _ = _POOL.series(_ITSELF)
    yield f"{name.removesuffix('percent')}_percent", {}, ever
    # Two attributes by one name: an agent 0.x hands on both, 1.x tells them apart by a label.
    yield f"{name}_total", {}, minute
    for attribute, meaning in (("OneMinuteRate", minute), ("Count", counted)):
        bean = f"kafka.server<type={_POOL.type}, name={_POOL.name}><>{attribute}"
        yield name, {"_objectname": bean}, meaning


def _process() -> Iterator[PageSeries]:
    """The Java process: its MBeans, and what the agent adds by itself of the process it is in."""
    system = "java.lang:type=OperatingSystem"
    load = Meaning(CPU_USAGE, SeriesForm.VALUE, f"{system} ProcessCpuLoad", scale=100)
    yield "java_lang_operatingsystem_processcpuload", {}, load
    spent = Meaning(
        PROCESSOR_TIME, SeriesForm.TOTAL, f"{system} ProcessCpuTime", rank=1, scale=1e-9
    )
    yield "java_lang_operatingsystem_processcputime", {}, spent
    of_agent = Meaning(PROCESSOR_TIME, SeriesForm.TOTAL, f"{system} ProcessCpuTime", rank=2)
    yield "process_cpu_seconds_total", {}, of_agent
    count = Meaning(PROCESSORS, SeriesForm.VALUE, f"{system} AvailableProcessors")
    yield "java_lang_operatingsystem_availableprocessors", {}, count
    for rank, attribute in enumerate(("CpuLoad", "SystemCpuLoad")):
        source = f"{system} CpuLoad"
        usage = Meaning("broker.systemCpuUsage", SeriesForm.VALUE, source, rank=rank, scale=100)
        yield f"java_lang_operatingsystem_{attribute.lower()}", {}, usage
    average = Meaning("broker.systemLoad", SeriesForm.VALUE, f"{system} SystemLoadAverage")
    yield "java_lang_operatingsystem_systemloadaverage", {}, average

    uptime = Meaning(UPTIME, SeriesForm.VALUE, "java.lang:type=Runtime Uptime", scale=1e-3)
    yield "java_lang_runtime_uptime", {}, uptime
    started = Meaning(STARTED, SeriesForm.VALUE, "java.lang:type=Runtime Uptime", rank=1)
    yield "process_start_time_seconds", {}, started

    for key, word in ((HEAP_USED, "used"), (HEAP_MAX, "max")):
        source = f"java.lang:type=Memory HeapMemoryUsage.{word}"
        own = Meaning(key, SeriesForm.VALUE, source)
        yield f"java_lang_memory_heapmemoryusage_{word}", {}, own
        by_agent = Meaning(key, SeriesForm.VALUE, source, rank=1)
        yield f"jvm_memory_{word}_bytes", {"area": "heap"}, by_agent
        yield f"jvm_memory_bytes_{word}", {"area": "heap"}, by_agent

    threads = Meaning(
        "broker.threadCount", SeriesForm.VALUE, "java.lang:type=Threading ThreadCount"
    )
    yield "java_lang_threading_threadcount", {}, threads
    of_agent = Meaning(threads.key, SeriesForm.VALUE, threads.source, rank=1)
    yield "jvm_threads_current", {}, of_agent
    source = "java.lang:type=GarbageCollector,name=… CollectionCount"
    collections = Meaning(COLLECTIONS, SeriesForm.TOTAL, source)
    yield "jvm_gc_collection_seconds_count", {}, collections


def _redpanda() -> Iterator[PageSeries]:
    """Redpanda's /public_metrics: one series a topic, or a shard, which is a processor."""

    def reported(form: SeriesForm, key: str, name: str, **labels: str) -> PageSeries:
        return name, labels, Meaning(key, form, name, 20, REDPANDA)

    def by_topic(key: str, name: str, **labels: str) -> PageSeries:
        topic = "redpanda_topic"
        meaning = Meaning(key, SeriesForm.TOTAL, name, 20, REDPANDA, topic=topic, summed=True)
        return name, labels, meaning

    size, time = "redpanda_kafka_request_bytes_total", "redpanda_kafka_request_latency_seconds"
    yield by_topic(BYTES_IN, size, redpanda_request="produce")
    yield by_topic(BYTES_OUT, size, redpanda_request="consume")
    yield by_topic(MESSAGES_IN, "redpanda_kafka_records_produced_total")
    yield by_topic(ELECTIONS, "redpanda_raft_leadership_changes")
    # Its replicas follow by Raft: whoever fetches is a consumer.
    for request, word in (
        ("Produce", "produce"),
        ("Fetch", "consume"),
        ("FetchConsumer", "consume"),
    ):
        labels = {"redpanda_request": word}
        yield reported(SeriesForm.TOTAL, f"{REQUESTS}{request}", f"{time}_count", **labels)
        yield reported(SeriesForm.TOTAL, f"{LATENCY_SUM}{request}", f"{time}_sum", **labels)
        buckets = Meaning(f"{LATENCIES}{request}/", SeriesForm.TOTAL, f"{time}_bucket", 20, by="le")
        yield f"{time}_bucket", labels, buckets
    busy = "redpanda_cpu_busy_seconds_total"
    yield reported(SeriesForm.TOTAL, PROCESSOR_TIME, busy)
    yield busy, {}, Meaning(PROCESSORS, SeriesForm.VALUE, busy, 20, counted=True)
    yield reported(SeriesForm.VALUE, UPTIME, "redpanda_application_uptime_seconds_total")
    yield reported(SeriesForm.VALUE, MEMORY_AVAILABLE, "redpanda_memory_available_memory")
    yield reported(SeriesForm.VALUE, MEMORY_ALLOCATED, "redpanda_memory_allocated_memory")
    yield reported(SeriesForm.VALUE, MEMORY_FREE, "redpanda_memory_free_memory")


def all_series() -> Iterator[PageSeries]:
    """Every series of a page that reports something."""
    yield from _meters()
    yield from _requests()
    yield from _gauges()
    yield from _idle()
    yield from _process()
    yield from _redpanda()


LabelMeanings = Mapping[tuple[str | None, ...], tuple[Meaning, ...]]
"""What series report by the values of some of their labels; None for a label that is not there."""


def _by_name() -> Mapping[str, tuple[tuple[str, ...], LabelMeanings]]:
    named: defaultdict[str, list[tuple[Mapping[str, str | None], Meaning]]] = defaultdict(list)
    for name, labels, meaning in all_series():
        lowered = {key.lower(): value for key, value in labels.items()}
        named[name] += [(labels, meaning), *([] if lowered == labels else [(lowered, meaning)])]
    table = {}
    for name, reported in named.items():
        keys = tuple(sorted({key for labels, _ in reported for key in labels}))
        by_labels: defaultdict[tuple[str | None, ...], list[Meaning]] = defaultdict(list)
        for labels, meaning in reported:
            by_labels[tuple(labels.get(key) for key in keys)].append(meaning)
        table[name] = keys, {values: tuple(found) for values, found in by_labels.items()}
    return table


BY_NAME = _by_name()
"""By a series' name in lower case: the labels that matter, and what it reports by their values."""


def _sources() -> Mapping[str, tuple[str, ...]]:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for _, _, meaning in sorted(all_series(), key=lambda series: series[2].rank):
        found[meaning.reports][meaning.source] = None
    return {reports: tuple(sources) for reports, sources in found.items()}


SOURCES = _sources()
"""By what is reported: what on a page reports it, the best first."""
