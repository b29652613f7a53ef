"""The sink that spools: what it takes, and what it does when the spool is full."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from operators.schema.arrow import row_count
from sinks.delivery import Parcel, RetryLater, SampleBatches
from sinks.spool.settings import SpoolSettings
from sinks.spool.sink import SpooledSink
from tests.samples import numbered
from tests.sink_jobs import job_in

SIZE = 2**20


class Taker:
    """A destination that counts the samples that it takes, unless it is away."""

    name = "taker"

    def __init__(self) -> None:
        self.rows = 0
        self.away = False

    def pack(self, samples: SampleBatches, route: str | None, now: int) -> Iterator[Parcel]:
        yield Parcel(samples, "only", None)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, parcel: Parcel) -> None:
        if self.away:
            raise RetryLater("away")
        self.rows += row_count(parcel.samples)


def sink_of(taker: Taker, directory: Path, grace: float = 60.0) -> SpooledSink:
    settings = SpoolSettings(path=directory / "spool", size=SIZE)
    return SpooledSink(taker, settings, job_in(directory, grace_left=lambda: grace))


def test_a_full_spool_has_room_again_though_other_partitions_filled_it(tmp_path: Path) -> None:
    """Within one epoch: their snapshots wait for the partition that waits for room."""
    taker = Taker()
    sink = sink_of(taker, tmp_path)
    one, other = (sink.build_part("step", f"spool-{n}", None) for n in range(2))
    batch, batches = numbered(range(100)), 0
    while sink.disk_bytes < SIZE:
        one.write_batch([batch])
        batches += 1
    assert taker.rows == 0

    other.write_batch([batch])

    for part in (one, other):
        part.snapshot()
        part.close()
    assert taker.rows == 100 * (batches + 1)


def test_a_batch_without_rows_is_not_taken(tmp_path: Path) -> None:
    """There is nothing in it to deliver."""
    sink = sink_of(Taker(), tmp_path)
    part = sink.build_part("step", "spool-0", None)
    part.write_batch([numbered([])])
    assert sink.disk_bytes == 0
    part.close()


@pytest.mark.parametrize("away", [False, True])
def test_it_is_known_whether_all_was_delivered(tmp_path: Path, away: bool) -> None:
    """Also once the partitions are closed."""
    taker = Taker()
    taker.away = away
    sink = sink_of(taker, tmp_path, grace=0.0 if away else 60.0)
    part = sink.build_part("step", "spool-0", None)
    part.write_batch([numbered(range(5))])
    part.snapshot()
    part.close()
    assert sink.is_delivered is not away
