"""A spool on disk: what is released, delivered, resumed and torn."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.spool.backlog import Lane
from sinks.spool.errors import SpoolInUseError
from sinks.spool.store import Spool, left_behind
from tests.samples import numbered


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    spool = opened(tmp_path, clock)
    yield spool
    spool.close()


def opened(path: Path, clock: Clock) -> Spool:
    return Spool(path / "spool-0", segment_bytes=40_000, clock=clock)


def append(spool: Spool, *numbers: int) -> None:
    for number in numbers:
        spool.append(numbered([number]))


def deliver(spool: Spool, lane: Lane | None = None) -> list[int]:
    """Read and settle one chunk."""
    chunk = spool.read(lane or spool.backlog.lanes[0])
    if chunk is None:
        return []
    spool.settle(chunk)
    return [
        int(name.rpartition("/")[2])
        for batch in chunk.samples
        for name in batch.column("entity_name").to_pylist()
    ]


def test_only_what_is_released_is_delivered(spool: Spool) -> None:
    """Samples that no snapshot covers wait: a restart would make them again."""
    append(spool, 1, 2)
    assert deliver(spool) == []
    spool.release()
    append(spool, 3)
    assert deliver(spool) == [1, 2]
    assert deliver(spool) == []
    assert spool.is_delivered


def test_what_lies_beyond_the_snapshot_is_dropped(tmp_path: Path, clock: Clock) -> None:
    """After a crash the log ends where the snapshot was, and goes on from there."""
    spool = opened(tmp_path, clock)
    append(spool, 1, 2)
    spool.release()
    state = spool.state
    append(spool, 3)
    crash(spool)

    resumed = opened(tmp_path, clock)
    resumed.resume(state)
    append(resumed, 3, 4)
    resumed.release()

    assert deliver(resumed) == [1, 2, 3, 4]
    resumed.close()


def test_what_is_delivered_is_never_waited_for_again(tmp_path: Path, clock: Clock) -> None:
    """A snapshot older than what is delivered neither brings that back nor loses what follows."""
    spool = opened(tmp_path, clock)
    append(spool, 1)
    spool.release()
    state = spool.state
    append(spool, *range(2, 40))
    spool.release()
    delivered = deliver(spool)
    assert delivered == list(range(1, 40))
    crash(spool)

    resumed = opened(tmp_path, clock)
    resumed.resume(state)
    append(resumed, *range(2, 40))
    resumed.release()

    assert deliver(resumed) == list(range(2, 40))
    resumed.close()


def test_the_state_of_another_log_means_nothing(tmp_path: Path, clock: Clock) -> None:
    """Where the spool is not the snapshot's, nothing in it is dropped."""
    spool = opened(tmp_path, clock)
    append(spool, 1, 2)
    crash(spool)

    resumed = opened(tmp_path, clock)
    resumed.resume(("another", 0, 0))

    assert deliver(resumed) == [1, 2]
    resumed.close()


def test_a_restart_goes_on_where_delivery_was(tmp_path: Path, clock: Clock) -> None:
    """What is settled is not sent again; segments without anything else are gone."""
    spool = opened(tmp_path, clock)
    append(spool, *range(40))
    spool.release()
    assert deliver(spool) == list(range(40))
    append(spool, 40)
    spool.release()
    crash(spool)
    assert len(list((tmp_path / "spool-0").glob("*.log"))) <= 2

    resumed = opened(tmp_path, clock)
    assert deliver(resumed) == [40]
    resumed.close()


def test_a_torn_tail_costs_itself_only(tmp_path: Path, clock: Clock) -> None:
    """A record that a crash cut short is dropped; those before it are sent."""
    spool = opened(tmp_path, clock)
    append(spool, 1, 2, 3)
    crash(spool)
    [log] = (tmp_path / "spool-0").glob("*.log")
    log.write_bytes(log.read_bytes()[:-5])

    resumed = opened(tmp_path, clock)
    assert deliver(resumed) == [1, 2]
    append(resumed, 3)
    resumed.release()
    assert deliver(resumed) == [3]
    resumed.close()


def test_damage_inside_is_passed_over(tmp_path: Path, clock: Clock) -> None:
    """A flipped bit costs the rest of its segment; the next ones are sent, and it ends."""
    spool = opened(tmp_path, clock)
    append(spool, *range(30))
    spool.release()
    logs = sorted((tmp_path / "spool-0").glob("*.log"))
    assert len(logs) > 3
    damaged = bytearray(logs[1].read_bytes())
    damaged[50] ^= 1
    logs[1].write_bytes(damaged)

    found = deliver(spool)

    assert found[0] == 0
    assert found[-1] == 29
    assert len(found) < 30
    assert spool.is_delivered
    spool.close()


def test_what_is_no_batch_is_unreadable(spool: Spool) -> None:
    """A whole record that is no batch of this version is handed out as such, with its place."""
    append(spool, 1)
    spool._log.append(b"\0" * 8 + b"garbage")
    append(spool, 2)
    spool.release()

    chunk = spool.read(spool.backlog.live)

    assert chunk is not None
    assert [batch.num_rows for batch in chunk.samples] == [1, 1]
    [unreadable] = chunk.unreadable
    assert unreadable.data == b"garbage"
    assert "not" in unreadable.reason or unreadable.reason


def test_new_samples_get_a_lane_of_their_own(spool: Spool, clock: Clock) -> None:
    """After a split what is behind and what is new are delivered side by side."""
    append(spool, 1, 2)
    spool.release()
    spool.split()
    append(spool, 3)
    spool.release()

    assert deliver(spool, spool.backlog.live) == [3]
    assert not spool.is_delivered
    assert deliver(spool, spool.backlog.old) == [1, 2]
    assert spool.is_delivered
    assert len(spool.backlog.lanes) == 1


def test_ages_are_reported(spool: Spool, clock: Clock) -> None:
    """A chunk knows when its newest record was written, a spool when its oldest."""
    append(spool, 1)
    clock.now = 1_060.5
    append(spool, 2)
    spool.release()
    chunk = spool.read(spool.backlog.live)
    assert chunk is not None
    assert chunk.newest == 1_060.5
    assert spool.oldest == 1_000.0


def give_up_oldest_segment(spool: Spool) -> list[int]:
    """What an eviction does."""
    end = spool.end_of_oldest_segment()
    return deliver(spool, Lane(spool.backlog.start, end))


def test_the_oldest_segment_can_be_given_up(spool: Spool) -> None:
    """Its undelivered records are handed out, and its room comes back."""
    append(spool, *range(30))
    spool.release()
    before = spool.disk_bytes

    given_up = give_up_oldest_segment(spool)

    assert given_up == list(range(len(given_up)))
    assert 0 < len(given_up) < 30
    assert spool.disk_bytes < before
    assert deliver(spool) == list(range(len(given_up), 30))


def test_the_open_segment_can_be_given_up_too(spool: Spool) -> None:
    """Where there is only one segment it is closed, and writing goes on in the next."""
    append(spool, 1)
    spool.release()
    assert give_up_oldest_segment(spool) == [1]
    append(spool, 2)
    spool.release()
    assert deliver(spool) == [2]


def test_a_chunk_under_way_when_its_segment_is_given_up_changes_nothing(spool: Spool) -> None:
    """Settling it late does not bring back or skip anything."""
    append(spool, 1)
    spool.release()
    under_way = spool.read(spool.backlog.live)
    assert under_way is not None
    give_up_oldest_segment(spool)
    append(spool, 2)
    spool.release()
    spool.settle(under_way)
    assert deliver(spool) == [2]


def test_a_full_segment_goes_as_soon_as_it_is_delivered(spool: Spool) -> None:
    """A record larger than a segment does not keep its room until the next is written."""
    spool.append(numbered(range(3_000)))
    spool.release()
    assert spool.disk_bytes > 20_000
    deliver(spool)
    assert spool.disk_bytes == 0
    append(spool, 7)
    spool.release()
    assert deliver(spool) == [7]


def test_two_cannot_use_one_spool(spool: Spool, tmp_path: Path, clock: Clock) -> None:
    """The second is refused, and told which directory it is."""
    with pytest.raises(SpoolInUseError, match="spool-0"):
        opened(tmp_path, clock)


def test_a_spool_that_nobody_uses_is_moved_aside(tmp_path: Path, clock: Clock) -> None:
    """Adopting frees the name, keeps the samples, and removing leaves nothing."""
    spool = opened(tmp_path, clock)
    append(spool, 1)
    with pytest.raises(SpoolInUseError):
        Spool.adopt(spool.directory)
    crash(spool)

    adopted = Spool.adopt(spool.directory)
    fresh = opened(tmp_path, clock)

    assert deliver(fresh) == []
    assert deliver(adopted) == [1]
    assert sorted(left_behind(tmp_path)) == sorted([adopted.directory, fresh.directory])
    adopted.close()
    adopted.remove()
    fresh.close()
    assert left_behind(tmp_path) == [fresh.directory]


def test_a_delivered_spool_takes_no_room(tmp_path: Path, clock: Clock) -> None:
    """Closing removes the segments of what is delivered."""
    spool = opened(tmp_path, clock)
    append(spool, 1)
    spool.release()
    deliver(spool)
    state = spool.state
    spool.close()
    assert sum(log.stat().st_size for log in (tmp_path / "spool-0").glob("*.log")) == 0

    resumed = opened(tmp_path, clock)
    resumed.resume(state)
    append(resumed, 2)
    resumed.release()
    assert deliver(resumed) == [2]
    resumed.close()


def crash(spool: Spool) -> None:
    """What a kill leaves: the files as they are, the lock free."""
    os.close(spool._lock)
