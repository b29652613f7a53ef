"""A small dataflow into New Relic, run as its own process by the crash tests.

`python -m tests.crash.newrelic_flow DIRECTORY ENDPOINT START [--more BATCHES] [--grace SECONDS]
[--kill-at POINT COUNT]` numbers rows in two partitions, a millisecond apart from START (ms), and
goes on where the recovery store says. With a POINT it kills itself at the COUNTth time that it
gets there: `append`, `settle` or `send`.
"""

from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from sinks.newrelic.destination import NewRelic
from sinks.newrelic.settings import NewRelicSettings
from sinks.patience import Patience
from sinks.segments import SegmentLog
from sinks.spool.store import Spool
from tests.crash.flow_processes import job_arguments, kill_in, run
from tests.crash.numbers import NumberSource
from tests.newrelic.payload import LICENSE_KEY
from tests.sink_jobs import job_in

_PLACES: dict[str, Any] = {"append": SegmentLog, "settle": Spool, "send": NewRelic}


def main() -> None:
    """Run until all batches are delivered."""
    parser = job_arguments(__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("start", type=int)
    parser.add_argument("--grace", type=float, default=60, help="seconds to deliver what is left")
    arguments = parser.parse_args()
    if arguments.kill_at:
        point, count = arguments.kill_at
        kill_in(_PLACES[point], point, int(count))
    directory = arguments.directory
    settings = NewRelicSettings.model_validate(
        {
            "license_key": LICENSE_KEY,
            "shape": "events",
            "endpoint": arguments.endpoint,
            "timeout": 2,
            "spool": {"path": directory / "spool"},
        }
    )
    job = job_in(
        directory,
        account_id=1,
        interval=1_000,
        grace_left=lambda: arguments.grace,
        patience=Patience(factor=0.01, maximum=0.1),
    )
    flow = Dataflow("crash")
    source = NumberSource(arguments.more, arguments.start, interval=1)
    stream = op.input("numbers", flow, source)
    op.output("newrelic", stream, settings.sink().open(job).output)
    run(flow, directory)


if __name__ == "__main__":
    main()
