"""The Parquet sink."""

import pyarrow as pa
import pyarrow.parquet as pq

from sinks.job import JobContext
from sinks.parquet.files import writer_options
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from sinks.parquet.store import Store
from sinks.parquet.straight import StraightParquet
from sinks.sink import OpenSink, Sink

NAME = "parquet"


def parquet_sink(settings: ParquetSettings) -> Sink:
    """Files in a directory or an object store."""

    def opened(job: JobContext) -> OpenSink:
        parts = job.parts(NAME)
        metadata = {} if job.seed is None else {"seed": str(job.seed)}
        if job.bulk:
            return OpenSink(StraightParquet(settings, parts, job.run, metadata))
        waiting = job.state / NAME
        rolled = RolledParquet(settings, parts, job.run, waiting, metadata, job.listener)
        return OpenSink(rolled, rolled.finish)

    return Sink(
        NAME,
        settings.path,
        opened,
        probe=lambda _job: Store(settings.path).probe(),
        holds_samples=lambda: Store(settings.path).has_samples(),
        size_of=_file_size,
    )


def _file_size(batch: pa.RecordBatch) -> int:
    """Bytes of the rows in a file, without what every file has however few its rows are."""

    def size(table: pa.Table) -> int:
        buffer = pa.BufferOutputStream()
        with pq.ParquetWriter(buffer, batch.schema, **writer_options(batch.schema)) as writer:
            writer.write_table(table)
        return int(buffer.getvalue().size)

    table = pa.Table.from_batches([batch])
    return size(table) - size(table.slice(0, 0))
