"""The Parquet sink."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from operators.schema.secrets import without_password
from sinks.parquet.files import writer_options
from sinks.parquet.settings import NAME, ParquetSettings
from sinks.parquet.store import Store
from sinks.sink import OpenSink, ReadableFiles, SampleLog, Sink

if TYPE_CHECKING:
    from sinks.job import JobContext


def parquet_sink(settings: ParquetSettings) -> Sink:
    """Files in a directory or an object store."""

    def opened(job: "JobContext") -> OpenSink:
        if job.bulk:
            from sinks.parquet.direct import DirectParquet

            return OpenSink(
                DirectParquet(settings, job.parts(NAME), job.run, job.metadata, job.listener)
            )
        from sinks.parquet.rolled import RolledParquet

        rolled = RolledParquet(settings, job)
        return OpenSink(rolled, rolled.finish)

    def log(state: Path) -> SampleLog:
        return SampleLog(state / NAME)

    return Sink(
        NAME,
        without_password(settings.path),
        opened,
        probe=lambda _job: Store(settings.path).probe(),
        holds_samples=lambda: Store(settings.path).has_samples(),
        size_of=_file_size,
        log=log,
        readable=ReadableFiles(settings.path),
        roll=settings.roll,
    )


def _file_size(batch: pa.RecordBatch) -> int:
    """Bytes of a file that holds the rows."""
    file = pa.MockOutputStream()
    with pq.ParquetWriter(file, batch.schema, **writer_options(batch.schema)) as writer:
        writer.write_batch(batch)
    return int(file.size())
