"""What a running job writes to its logs on disk, read beside it: nothing is locked or changed."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from operators.schema.ipc import BatchDecodeError, decode
from sinks.segments import records_of
from sinks.sink import SampleLog


class Following:
    """Samples in segment logs, as they are appended."""

    def __init__(self, log: SampleLog) -> None:
        self._log = log
        self._read_to: dict[Path, int] = {}

    def read(self) -> Iterator[pa.RecordBatch]:
        """All that came since the last call; the first one gives all that is there."""
        for file in sorted(self._log.folder.glob("**/[0-9]*.log")):
            yield from self._new_in(file)

    def _new_in(self, file: Path) -> Iterator[pa.RecordBatch]:
        try:
            size = file.stat().st_size
            # A start cuts off what no snapshot covers: it comes again.
            self._read_to[file] = min(self._read_to.get(file, 0), size)
            for end, payload in records_of(file, self._read_to[file]):
                self._read_to[file] = end
                try:
                    yield decode(payload[self._log.before :])
                except BatchDecodeError:
                    continue
        except FileNotFoundError:  # Its rows were published, or delivered.
            self._read_to.pop(file, None)
