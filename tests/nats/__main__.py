"""Starts NATS servers with JetStream and keeps them until Ctrl-C: `python -m tests.nats --servers 3`."""

import argparse
import signal

from tests.nats.server import NatsCluster


def main() -> None:
    """Prints where the servers are, then waits for a signal."""
    parser = argparse.ArgumentParser(prog="python -m tests.nats", description=__doc__)
    parser.add_argument("--servers", type=int, default=1, help="default: 1")
    options = parser.parse_args()
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with NatsCluster(options.servers) as cluster:
        for server in cluster.servers:
            print(f"{server.name}: {server.url}, monitoring {server.monitor}")
        print("Ctrl-C ends it.", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
