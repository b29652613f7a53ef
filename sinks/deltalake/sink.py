"""The sink of Delta tables."""

from operators.schema.secrets import without_password
from sinks.deltalake.rolled import RolledDelta
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.deltalake.tables import DeltaTables
from sinks.job import JobContext
from sinks.sink import OpenSink, Sink

NAME = "deltalake"


def deltalake_sink(settings: DeltaLakeSettings) -> Sink:
    """Tables in a directory or an object store; what waits for them lies with the job's state."""

    def opened(job: JobContext) -> OpenSink:
        waiting = job.state / NAME
        rolled = RolledDelta(settings, job.parts(NAME), job.run, waiting, job.listener)
        return OpenSink(rolled, rolled.finish)

    return Sink(
        NAME,
        without_password(settings.path),
        opened,
        probe=lambda job: DeltaTables(settings.path, job.run).probe(),
        holds_samples=lambda: bool(DeltaTables(settings.path, "").there()),
    )
