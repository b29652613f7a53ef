"""What a replay to Parquet costs by the length of its range: 1, 10, 100 and 1,000 times.

One topic is filled as in `bench_replay`, in messages of 500 rows, and ever longer ranges of it are
replayed by one worker. CPU seconds are of this process, the consumer's threads among them, without
those of a replay of one message a partition.

    python -m tests.benchmarks.bench_ranges [--rows 10000000] [--json FILE]
"""

from operators.recorded.plan import OffsetStretch, ReplayPlan, replay_plan
from operators.schema.kafka import KafkaConnection
from tests.benchmarks.bench_replay import FAR, PARTITIONS, fill, measure, replay
from tests.benchmarks.options import keep, parser_of
from tests.kafka.cluster import KafkaCluster

MESSAGE_ROWS = 500
SHARES = (1000, 100, 10, 1)


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    rows = []
    with KafkaCluster(1, heap="512m", settings={"message.max.bytes": "4000000"}) as cluster:
        topic = fill(cluster.bootstrap_servers, options.rows, MESSAGE_ROWS)
        connection = KafkaConnection(bootstrap_servers=cluster.bootstrap_servers)
        whole = replay_plan(connection, topic, 0, FAR)
        print(f"{'rows':>12} {'CPU s':>7} {'rows/CPU s':>11}")
        for share in SHARES:
            each = whole.messages // PARTITIONS // share + 1
            stretches = tuple(
                OffsetStretch(s.partition, s.start, min(s.start + each, s.end))
                for s in whole.stretches
            )
            plan = ReplayPlan(topic, whole.start, whole.end, stretches)
            count = (plan.messages - PARTITIONS) * MESSAGE_ROWS
            if not count:
                continue
            cpu, _ = measure(replay, connection, plan)
            rows.append({"rows": count, "cpu_seconds": cpu})
            print(f"{count:>12,} {cpu:>7.2f} {count / cpu:>11,.0f}", flush=True)
    keep(rows, options.json)


if __name__ == "__main__":
    main()
