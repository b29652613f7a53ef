"""Starts a New Relic stand-in and keeps it until Ctrl-C: `python -m tests.newrelic`."""

import argparse
import signal

from tests.newrelic.rules import Rules
from tests.newrelic.stand_in import Request, StandIn


def main() -> None:
    """Prints the endpoint, then a line for each request, until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m tests.newrelic", description=__doc__)
    parser.add_argument("--port", type=int, help="default: a free one")
    parser.add_argument("--any-time", action="store_true", help="keep samples of any timestamp")
    parser.add_argument("--faults", type=float, default=0.0, metavar="RATE", help="0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="of the faults; default: 0")
    options = parser.parse_args()
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    rules = Rules(windows=not options.any_time)
    stand_in = StandIn(rules, port=options.port, keep=False, on_request=_print)
    stand_in.faults(seed=options.seed, rate=options.faults)
    with stand_in:
        print(f"endpoint: {stand_in.endpoint}")
        print(f"license_key: {rules.license_key}")
        print("Ctrl-C ends it.", flush=True)
        signal.sigwait(ends)


def _print(request: Request) -> None:
    status = request.status or "---"
    print(
        f"{status} {request.path} {request.size} bytes, {request.kept} kept, "
        f"{request.dropped} dropped {request.reason}".rstrip(),
        flush=True,
    )


if __name__ == "__main__":
    main()
