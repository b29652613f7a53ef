"""Where samples can be watched: a running job, Parquet files, a topic."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

import pyarrow as pa

from flows.config import Config
from flows.errors import CommandError, UsageError
from flows.sinks import sinks_of
from operators.schema.arrow import entity_type_of
from operators.schema.kafka import KafkaConnection
from operators.schema.metrics import EntityType
from sinks.disk import is_locked
from sinks.sink import ReadableFiles, ReadableTopic, SampleLog

SampleRow: TypeAlias = dict[str, Any]
"""A sample by its columns."""


class Place(Protocol):
    """Where samples pass."""

    name: str
    """In words."""

    def read(
        self, last: int, entity: str | None
    ) -> Iterator[tuple[EntityType, Sequence[SampleRow]]]:
        """What came since the last call; the first one gives what is there.

        That is at least the `last` samples of each type, of an entity where one is named.
        """


def rows_of(batch: pa.RecordBatch) -> tuple[EntityType, Sequence[SampleRow]]:
    """A batch's samples."""
    return entity_type_of(batch), batch.to_pylist()


class RunningJob:
    """What a job's sinks keep on disk until it is where it belongs."""

    def __init__(self, log: SampleLog, state: Path) -> None:
        from sinks.following import Following

        self.name = f"the job that runs on {state}"
        self._following = Following(log)

    def read(
        self, last: int, entity: str | None
    ) -> Iterator[tuple[EntityType, Sequence[SampleRow]]]:
        """See `Place`."""
        yield from map(rows_of, self._following.read())


class Parquet:
    """Files below a folder or a URI, as they appear."""

    def __init__(self, uri: str) -> None:
        from flows.samples import SamplesError, find_samples

        self.name = uri
        self._find = find_samples
        self._none = SamplesError
        self._seen: set[str] | None = None

    def read(
        self, last: int, entity: str | None
    ) -> Iterator[tuple[EntityType, Sequence[SampleRow]]]:
        """See `Place`.

        Raises:
            SamplesError: what is there cannot be read.
        """
        from flows.samples import clear_read_errors

        try:
            samples = self._find(self.name)
        except self._none:
            if self._seen is None and not ("://" in self.name or Path(self.name).is_dir()):
                raise
            self._seen = self._seen or set()
            return
        with clear_read_errors(self.name):
            for entity_type, files in samples.files.items():
                new = [file for file in files if file not in (self._seen or ())]
                if not new:
                    continue
                if self._seen is None:
                    frame = samples.last(entity_type, last, entity)
                else:
                    frame = samples.of(entity_type, new)
                yield entity_type, frame.to_dicts()
        self._seen = {file for files in samples.files.values() for file in files}


class Topic:
    """A topic that `sinks.kafka` records."""

    def __init__(self, connection: KafkaConnection, topic: str) -> None:
        from operators.recorded.tail import RecordedTail

        self.name = f"topic {topic}"
        self._topic = RecordedTail(connection, topic)

    def read(
        self, last: int, entity: str | None
    ) -> Iterator[tuple[EntityType, Sequence[SampleRow]]]:
        """See `Place`.

        Raises:
            ReplayError: the topic cannot be read.
        """
        yield from map(rows_of, self._topic.read(last))


def of_uri(uri: str) -> Place:
    """The place that a folder or a URI is.

    Raises:
        UsageError: a topic's URI that is none.
    """
    if not uri.startswith("kafka://"):
        return Parquet(uri)
    parts = urlsplit(uri)
    topic = parts.path.strip("/")
    if not parts.netloc or not topic or "/" in topic:
        raise UsageError(f"{uri}: write kafka://host:9092/topic")
    return Topic(KafkaConnection(bootstrap_servers=parts.netloc), topic)


def of_config(config: Config) -> Place:
    """Where the samples of a configuration's job pass: those of a running one first.

    Raises:
        CommandError: no job runs, and none of its sinks can be read.
    """
    state, sinks = config.recovery.path / "run", sinks_of(config)
    if _runs(state):
        for sink in sinks:
            if sink.log is not None:
                return RunningJob(sink.log(state), state)
    places = [sink.readable for sink in sinks if sink.readable is not None]
    for place in places:
        if isinstance(place, ReadableTopic):
            return Topic(place.connection, place.topic)
    for place in places:
        if isinstance(place, ReadableFiles):
            return Parquet(place.uri)
    raise CommandError(
        f"no job runs on {state}, and none of its sinks can be read: start `mqpipe run` with this "
        "config, or name a folder, s3://… or kafka://host:9092/topic"
    )


def _runs(state: Path) -> bool:
    """Whether a process holds this state; of one on another machine it is not known."""
    for file in state.glob("lock-*"):
        with suppress(OSError):
            if is_locked(file):
                return True
    return False
