"""The sink of Delta tables."""

from pathlib import Path

from operators.schema.secrets import without_password
from sinks.deltalake.settings import NAME, DeltaLakeSettings
from sinks.job import JobContext
from sinks.sink import OpenSink, SampleLog, Sink


def deltalake_sink(settings: DeltaLakeSettings) -> Sink:
    """Tables in a directory or an object store; what waits for them lies with the job's state."""

    def opened(job: JobContext) -> OpenSink:
        from sinks.deltalake.rolled import RolledDelta

        rolled = RolledDelta(settings, job)
        return OpenSink(rolled, rolled.finish)

    def probed(job: JobContext) -> str:
        from sinks.deltalake.tables import DeltaTables

        return DeltaTables(settings.path, job.run).probe()

    def holds_samples() -> bool:
        from sinks.deltalake.tables import DeltaTables

        return bool(DeltaTables(settings.path, "").there())

    def log(state: Path) -> SampleLog:
        return SampleLog(state / NAME)

    return Sink(
        NAME,
        without_password(settings.path),
        opened,
        probed,
        holds_samples,
        log=log,
        roll=settings.roll,
    )
