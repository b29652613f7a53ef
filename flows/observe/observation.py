"""All that shows a job, set up around it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from flows.again import StartAgain
from flows.observe.event_log import EventLog
from flows.observe.logs import configure_logs
from flows.observe.native import captured_stderr, real_stderr
from flows.observe.picture import Job, Picture
from flows.observe.settings import MetricsSettings
from flows.observe.tally import Tally
from operators.drain import Drain
from operators.events import Observer, observers
from operators.pool.pool import Pool
from operators.schema.arrow import entity_type_of
from operators.schema.logs import Log
from operators.ticks import TickResult

if TYPE_CHECKING:
    from flows.observe.samples.latest import Latest


@dataclass(frozen=True, slots=True)
class Observation:
    """Whom the parts of a job report to."""

    observer: Observer
    """Hears of pools, collection, merge, sinks and dead letters."""
    watch: Callable[[Pool], None]
    """Gets every pool, once."""
    saw: Callable[[str, pa.RecordBatch], None]
    """Gets every batch on its way to the sinks, and its cluster."""
    clock_set: Callable[[float], None]
    """Gets by how many seconds the wall clock was set."""
    measured: Callable[[TickResult], None] | None
    """Gets every collected tick while it has its raw measures; None where nobody wants them."""
    there_until: Callable[[int], None]
    """Gets up to when (ms) a partition has nothing to do, for its samples are there."""
    picture: Callable[[], Picture]
    """How things stand."""


@contextmanager
def observe(
    job: Job,
    drain: Drain,
    metrics: MetricsSettings,
    *,
    live: bool,
    process_id: int = 0,
    level: str | None = None,
) -> Iterator[Observation]:
    """Show a job while the block runs: logs, metrics and health, and on a terminal a live table.

    Raises:
        ListenError: nothing can be served on `metrics.listen`.
    """
    handler = configure_logs(level)
    tally = Tally(job, draining=lambda: drain.requested)
    events = EventLog()
    native = Log("stderr")

    with ExitStack() as stack:
        url = None
        saw: Callable[[str, pa.RecordBatch], None] = tally.saw
        measured: Callable[[TickResult], None] | None = None
        if metrics.listen is not None:
            from flows.observe.server import served

            page = None
            if metrics.samples or metrics.compatible:
                from flows.observe.samples.kafka_exporter import MEASURES, kafka_exporter
                from flows.observe.samples.latest import Latest
                from flows.observe.samples.page import ClusterPage

                latest = Latest(job.interval)
                page = ClusterPage(
                    latest,
                    metrics.labels,
                    samples=metrics.samples,
                    more=kafka_exporter if metrics.compatible else None,
                )
                saw = _reported(tally.saw, latest)
                if metrics.compatible:
                    measured = _measured(latest, MEASURES)
            url = stack.enter_context(served(metrics, tally.picture, process_id, page))
        stderr = stack.enter_context(real_stderr())
        stack.enter_context(handler.to(stderr))
        if live and stderr.isatty():
            from rich.console import Console

            from flows.observe.live import live_table

            console = Console(file=stderr)
            tally.show_figures()
            # Log lines are above it until it is drawn for the last time.
            stack.enter_context(handler.above(console))
            stack.enter_context(live_table(console, tally.picture))
        # Innermost: what native code wrote last still comes above the table.
        stack.enter_context(captured_stderr(lambda lines: native.warning(lines)))
        events.started(job, url)
        failed = True
        try:
            yield Observation(
                observers(tally.observer, events.observer),
                tally.watch,
                saw,
                tally.clock_set,
                measured,
                tally.there_until,
                tally.picture,
            )
            failed = False
        except StartAgain:
            failed = False
            raise
        finally:
            tally.end(failed=failed)
            events.ended(tally.picture(), failed=failed)


def _measured(latest: "Latest", names: Sequence[str]) -> Callable[[TickResult], None]:
    def keep(result: TickResult) -> None:
        for name in names:
            if name in result.raw:
                latest.came(
                    result.tick.cluster,
                    name,
                    result.raw[name],
                    result.tick.start,
                    # Of one that lacks something the last that is known stays.
                    whole=result.error_class is None,
                )

    return keep


def _reported(
    saw: Callable[[str, pa.RecordBatch], None], latest: "Latest"
) -> Callable[[str, pa.RecordBatch], None]:
    def both(cluster: str, batch: pa.RecordBatch) -> None:
        saw(cluster, batch)
        latest.came(cluster, entity_type_of(batch).name, batch)

    return both
