"""How fast is a broker's metrics page read, beside prometheus-client's parser?

Pages of the same broker with many partitions, by rules as docker/jmx-exporter.yml has them (where
nearly all series are sizes of logs, which are wanted) and without rules (where nearly none is), are
read by `parse_page` and by prometheus-client's parser into families. Rounds alternate, so that both
see the same noise; the median of processor time counts. Exits with 1 where a ratio is not reached.

    python -m tests.benchmarks.bench_pages [--series 20000] [--rounds 5] [--json FILE]
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from operators.collect.pages.parse import parse_page
from tests.benchmarks.options import keep, parser_of

REQUIRED_RATIO = 8.0
"""Times as fast as prometheus-client's parser, at least."""

PARTITIONS = 40
"""Of a topic."""

PERCENTILES = ("50th", "75th", "95th", "98th", "99th", "999th")
TIMES = ("TotalTimeMs", "LocalTimeMs", "RemoteTimeMs", "RequestQueueTimeMs", "ResponseSendTimeMs")


def with_rules(series: int) -> Iterator[str]:
    """A page on which nearly all series are wanted: sizes of logs."""
    yield "kafka_server_brokertopicmetrics_messagesin_total 1.0E9"
    for number in range(series - 1):
        topic, partition = divmod(number, PARTITIONS)
        labels = f'partition="{partition}",topic="orders.of-customer-{topic}"'
        yield f"kafka_log_log_size{{{labels}}} {number}.0"


def without_rules(series: int) -> Iterator[str]:
    """A page of all MBeans: of most series nothing is wanted but to be passed over."""
    yield 'kafka_server_BrokerTopicMetrics_Count{name="MessagesInPerSec"} 1.0E9'
    left = series - 1
    for request in range(70):
        for name in TIMES:
            for percentile in PERCENTILES:
                labels = f'name="{name}",request="Request{request}"'
                yield f"kafka_network_RequestMetrics_{percentile}Percentile{{{labels}}} 1.5"
                left -= 1
    for number in range(left):
        topic, rest = divmod(number, 5 * PARTITIONS)
        name = ("Size", "LogEndOffset", "LogStartOffset", "NumLogSegments", "UnderMinIsr")[rest % 5]
        labels = f'name="{name}",partition="{rest // 5}",topic="orders.of-customer-{topic}"'
        yield f"kafka_{'log_Log' if rest % 5 < 4 else 'cluster_Partition'}_Value{{{labels}}} 1.0"


def measure(series: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of both for each page, and how many times as fast ours is."""
    result: dict[str, Any] = {"series": series}
    for name, make in (("rules", with_rules), ("no_rules", without_rules)):
        text = "\n".join(make(series)) + "\n"
        page = parse_page(text, 0)
        if page is None or not page.sizes:
            raise AssertionError("the page must be read as one of a broker, with sizes")
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(_ms(lambda text=text: parse_page(text, 0)))  # type: ignore[misc]
            theirs.append(_ms(lambda text=text: list(text_string_to_metric_families(text))))  # type: ignore[misc]
        result[f"{name}_ms"] = round(statistics.median(ours), 1)
        result[f"{name}_prometheus_client_ms"] = round(statistics.median(theirs), 1)
        result[f"{name}_ratio"] = round(statistics.median(theirs) / statistics.median(ours), 1)
    return result


def _ms(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return 1000 * (time.process_time() - begun)


def main() -> int:
    """Measure and print; 1 where the ratio is not reached."""
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--series", type=int, default=20_000, help="on each page")
    arguments = parser.parse_args()
    result = {**measure(arguments.series, arguments.rounds), "required_ratio": REQUIRED_RATIO}
    for key, value in result.items():
        print(f"{key:34} {value}")
    keep(result, arguments.json)
    return 0 if min(result["rules_ratio"], result["no_rules_ratio"]) >= REQUIRED_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
