"""Starts a RabbitMQ cluster and keeps it until Ctrl-C: `python -m tests.rabbitmq --nodes 3`."""

import argparse
import signal

from tests.rabbitmq.server import PASSWORD, USER, RabbitServer


def main() -> None:
    """Prints where the nodes are, then waits for a signal."""
    parser = argparse.ArgumentParser(prog="python -m tests.rabbitmq", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1, choices=(1, 2, 3), help="default: 1")
    options = parser.parse_args()
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with RabbitServer(options.nodes) as server:
        for node in server.nodes:
            places = f"{node.url}, Prometheus {node.prometheus_url}, AMQP port {node.amqp}"
            print(f"{node.name}: {places}")
        print(f"user {USER}, password {PASSWORD}; Ctrl-C ends it.", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
