"""Starts a Kafka cluster and keeps it until Ctrl-C: `python -m tests.kafka --brokers 3`."""

import argparse
import signal

from tests.kafka.cluster import KafkaCluster
from tests.kafka.jars import VERSION, VERSIONS


def main() -> None:
    """Prints the bootstrap servers and the brokers' metrics pages, then waits for a signal."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka", description=__doc__)
    parser.add_argument("--brokers", type=int, default=1, choices=(1, 2, 3), help="default: 1")
    parser.add_argument("--version", default=VERSION, choices=VERSIONS, help=f"default: {VERSION}")
    options = parser.parse_args()
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with KafkaCluster(options.brokers, version=options.version) as cluster:
        print(f"bootstrap_servers: {cluster.bootstrap_servers}")
        for broker_id, url in cluster.metrics_urls.items():
            print(f"broker {broker_id}: {url}")
        print("Ctrl-C ends it.", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
