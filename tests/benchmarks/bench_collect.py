"""A tick over many partitions and consumer groups of real brokers: time, processor, memory.

Two brokers of its own are started and filled: topics of ten partitions, and groups of a live member
each. Between two ticks each partition gets a message, a tenth of the groups commits with other
metadata, a group and a topic come and others go, and 1 % of the leaders move. After it each one
that is measured reads the same cluster, one after another, in a turn that rotates: mqpipe in a
process of its own (a tick of all kinds, collected and derived), the build that `--beside` names, and
the exporters of others. `seconds` and `cpu_seconds` are medians; `cold` is the first reading, which
connects too.

    python -m tests.benchmarks.bench_collect [--partitions 1000] [--groups 100] [--ticks 7]
        [--full] [--partition-offsets] [--beside PATH] [--without-group-topics] [--without-outlook]
        [--kminion BINARY] [--kafka-exporter BINARY] [--json FILE]
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

from tests.benchmarks import peers as exporters
from tests.benchmarks.cluster_at_work import WorkingCluster
from tests.benchmarks.options import keep, parser_of
from tests.benchmarks.peers import Reader
from tests.kafka.cluster import KafkaCluster

BROKERS = 2
COLUMNS = {
    "cold_seconds": "cold s",
    "cold_cpu_seconds": "cold CPU s",
    "seconds": "s",
    "cpu_seconds": "CPU s",
    "peak_mb": "peak MB",
    "gave": "samples, bytes",
}


def reading(reader: Reader) -> tuple[float, float, int]:
    """Seconds and CPU seconds of one reading, and what it gave."""
    used, begun = reader.cpu_seconds(), time.perf_counter()
    gave = reader.read()
    return time.perf_counter() - begun, reader.cpu_seconds() - used, gave


def measured(
    cluster: WorkingCluster, readers: Sequence[Reader], ticks: int
) -> list[dict[str, Any]]:
    """A row for each reader."""
    cold = {reader.name: reading(reader) for reader in readers}
    found: defaultdict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for number in range(ticks):
        cluster.change()
        turn = number % len(readers)
        for reader in [*readers[turn:], *readers[:turn]]:
            found[reader.name].append(reading(reader))
    return [
        {
            "reader": reader.name,
            "cold_seconds": cold[reader.name][0],
            "cold_cpu_seconds": cold[reader.name][1],
            "seconds": median(seconds for seconds, _, _ in found[reader.name]),
            "cpu_seconds": median(cpu for _, cpu, _ in found[reader.name]),
            "peak_mb": reader.peak_bytes() / 2**20,
            "gave": found[reader.name][-1][2],
        }
        for reader in readers
    ]


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--partitions", type=int, default=1_000)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--ticks", type=int, default=7)
    parser.add_argument("--full", action="store_true", help="10,000 partitions and 1,000 groups")
    parser.add_argument(
        "--partition-offsets",
        action="store_true",
        help="a sample for each partition of a group too",
    )
    exporters.add_options(parser)
    options = parser.parse_args()
    partitions = 10_000 if options.full else options.partitions
    groups = 1_000 if options.full else options.groups
    with (
        KafkaCluster(BROKERS, heap="1g") as kafka,
        WorkingCluster(kafka, partitions, groups) as cluster,
        exporters.builds(
            options,
            kafka.bootstrap_servers,
            ["--partition-offsets"] if options.partition_offsets else [],
        ) as builds,
        exporters.peers(options, kafka.bootstrap_servers) as peers,
    ):
        rows = measured(cluster, [*builds, *peers], options.ticks)
    print(f"{partitions:,} partitions, {groups:,} groups, {BROKERS} brokers, {options.ticks} ticks")
    print(f"{'':>14}" + "".join(f"{title:>16}" for title in COLUMNS.values()))
    for row in rows:
        cells = [f"{row[c]:>16,.3f}" if c != "gave" else f"{row[c]:>16,}" for c in COLUMNS]
        print(f"{row['reader']:>14}" + "".join(cells))
    keep({"partitions": partitions, "groups": groups, "rows": rows}, options.json)


if __name__ == "__main__":
    main()
