"""The New Relic sink of a dataflow."""

from collections.abc import Callable

from sinks.dead_letters import DeadLetters
from sinks.delivery import Patience
from sinks.events import Listener, nobody
from sinks.newrelic.sender import NewRelic
from sinks.newrelic.settings import NewRelicSettings
from sinks.spool.sender import ADOPT_AFTER
from sinks.spool.sink import SpooledSink, spooled_sink


def newrelic_sink(
    settings: NewRelicSettings,
    account_id: int,
    interval: int,
    dead_letters: DeadLetters,
    listener: Listener = nobody,
    grace_left: Callable[[], float] = lambda: 0.0,
    patience: Patience = Patience(),  # noqa: B008 - immutable
    adopt_after: float = ADOPT_AFTER,
) -> SpooledSink:
    """The New Relic sink: takes `(cluster_name, batch)` items.

    `interval` is the time between two ticks in milliseconds; `grace_left` says how many seconds
    of a drain are left; `adopt_after` seconds after the start spools that no one uses are looked
    for.

    Raises:
        ValueError: the licence key cannot be read.
    """
    destination = NewRelic(settings, account_id, interval)
    return spooled_sink(
        destination, settings.spool, dead_letters, listener, grace_left, patience, adopt_after
    )
