"""The sinks of a configuration: rolled files, network ones with a spool and a sender each."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.config import Config
from flows.errors import UsageError
from flows.state import JobState
from sinks.dead_letters import DeadLetters
from sinks.delivery import Destination
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.kafka.sender import Kafka
from sinks.kafka.sink import kafka_sink
from sinks.newrelic.sender import NewRelic
from sinks.newrelic.sink import newrelic_sink
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from sinks.parquet.store import Store
from sinks.spool.settings import SpoolSettings
from sinks.spool.sink import SpooledSink

if TYPE_CHECKING:
    from sinks.deltalake.sink import RolledDelta


def parquet_at(path: str, settings: ParquetSettings | None = None) -> ParquetSettings:
    """Parquet at another path, for the rest as in the settings.

    Raises:
        UsageError: the path is a URI of no known storage.
    """
    known = {} if settings is None else settings.model_dump()
    try:
        return ParquetSettings.model_validate({**known, "path": path})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--out {path}: {reason}") from error


def rolled_sinks(
    config: Config,
    state: JobState,
    clusters: frozenset[str],
    listener: Callable[[object], None],
) -> "dict[str, RolledParquet | RolledDelta]":
    """The sinks whose rows wait until enough are published together, by name.

    They have a partition for each cluster, also for those that are retired.
    """

    def parts(sink: str) -> frozenset[str]:
        return clusters | state.retired(sink, clusters)

    sinks: dict[str, RolledParquet | RolledDelta] = {}
    if config.sinks.parquet is not None:
        sinks["parquet"] = RolledParquet(
            config.sinks.parquet,
            parts("parquet"),
            state.run,
            state.path / "parquet",
            {"seed": str(config.simulation.seed)},
            listener,
        )
    if config.sinks.deltalake is not None:
        delta = delta_sink(config.sinks.deltalake, state, parts("deltalake"), listener)
        sinks["deltalake"] = delta
    return sinks


def delta_sink(
    settings: DeltaLakeSettings,
    state: JobState,
    parts: Iterable[str],
    listener: Callable[[object], None],
) -> "RolledDelta":
    """The sink of Delta tables; what waits for it lies with the job's state."""
    from sinks.deltalake.sink import RolledDelta  # only where the extra is installed

    return RolledDelta(settings, parts, state.run, state.path / "deltalake", listener)


def finish(sinks: "Iterable[RolledParquet | RolledDelta]") -> None:
    """Have each sink publish what waits, also where another one fails.

    Raises:
        OSError: one failed; what it did not publish stays in its log.
    """
    with ExitStack() as stack:
        for sink in sinks:
            stack.callback(sink.finish)


def holding_samples(config: Config) -> str | None:
    """The path of a sink that holds samples, with which those of a replay would mix."""
    parquet, delta = config.sinks.parquet, config.sinks.deltalake
    if parquet is not None and Store(parquet.path).has_samples():
        return parquet.path
    if delta is not None:
        from sinks.deltalake.tables import DeltaTables  # only where the extra is installed

        if DeltaTables(delta.path, "").there():
            return delta.path
    return None


def network_sinks(
    config: Config, listener: Callable[[object], None], grace_left: Callable[[], float]
) -> dict[str, SpooledSink]:
    """The sinks that spool, by name; at the end they deliver while there is grace left (s).

    Raises:
        UsageError: the licence key cannot be read.
    """
    sinks: dict[str, SpooledSink] = {}
    letters = DeadLetters(config.dead_letters, listener)

    if config.sinks.newrelic is not None and config.account_id is not None:
        with _usage_errors():
            sinks["newrelic"] = newrelic_sink(
                config.sinks.newrelic,
                config.account_id,
                config.interval_ms,
                letters,
                listener,
                grace_left,
            )
    if config.sinks.kafka is not None:
        sinks["kafka"] = kafka_sink(config.sinks.kafka, letters, listener, grace_left)
    return sinks


def destinations(config: Config) -> Iterator[tuple[Destination, SpoolSettings]]:
    """Where network sinks deliver to, and the spool of each.

    Raises:
        UsageError: the licence key cannot be read.
    """
    if config.sinks.newrelic is not None and config.account_id is not None:
        newrelic = config.sinks.newrelic
        with _usage_errors():
            destination = NewRelic(newrelic, config.account_id, config.interval_ms)
        yield destination, newrelic.spool
    if config.sinks.kafka is not None:
        yield Kafka(config.sinks.kafka), config.sinks.kafka.spool


@contextmanager
def _usage_errors() -> Iterator[None]:
    """What is wrong with a file that the config names is wrong with the config."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def spool_sizes(config: Config) -> dict[str, int]:
    """How many bytes each network sink's spool may take."""
    sinks = {"newrelic": config.sinks.newrelic, "kafka": config.sinks.kafka}
    return {name: sink.spool.size for name, sink in sinks.items() if sink is not None}
