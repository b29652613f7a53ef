"""Where a spool lies, and who may use it."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sinks.delivery import Destination, RetryLater
from sinks.disk import make_private, write_private
from sinks.job import JobContext
from sinks.spool import place
from sinks.spool.errors import SpoolInUseError
from sinks.spool.network import NetworkSink, network_sink
from sinks.spool.place import require_free, spool_of
from sinks.spool.settings import SpoolSettings
from sinks.spool.store import Spool, left_behind
from tests.samples import numbered
from tests.sink_jobs import job_in

DEFAULT = SpoolSettings()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def spool_left(path: Path, rows: int = 3) -> None:
    """A spool's partition with samples that wait."""
    spool = Spool(path)
    spool.append(numbered(range(rows)))
    spool.release()
    spool.close()


def rows_in(directory: Path) -> int:
    rows = 0
    for partition in left_behind(directory):
        spool = Spool(partition)
        chunk = spool.read(spool.backlog.live)
        rows += sum(batch.num_rows for batch in chunk.samples) if chunk else 0
        spool.close()
    return rows


def state(folder: Path) -> JobContext:
    return job_in(folder / "state" / "run")


def test_a_spool_lies_with_the_jobs_state(tmp_path: Path) -> None:
    """So two jobs in one folder have two."""
    one, other = job_in(tmp_path / "a" / "run"), job_in(tmp_path / "b" / "run")
    assert spool_of(DEFAULT, "kafka", one).path == tmp_path / "a" / "run" / "spool"
    assert spool_of(DEFAULT, "kafka", other).path == tmp_path / "b" / "run" / "spool"


def test_a_path_that_is_given_stays(tmp_path: Path) -> None:
    """And nothing is moved."""
    spool_left(tmp_path / "spool" / "kafka" / "spool-0")
    given = SpoolSettings(path=Path("spool"))
    assert spool_of(given, "kafka", state(tmp_path)) == given
    assert rows_in(tmp_path / "spool" / "kafka") == 3


def test_a_replay_has_its_own(tmp_path: Path) -> None:
    """Whatever the settings say."""
    own = tmp_path / "replay" / "spool"
    job = job_in(tmp_path, spools=own)
    assert spool_of(SpoolSettings(path=Path("x")), "kafka", job).path == own


def test_a_spool_of_before_is_moved_to_the_state_once(tmp_path: Path) -> None:
    """With all that waits in it; that of another sink stays for that sink."""
    old, new = tmp_path / "spool", tmp_path / "state" / "run" / "spool"
    spool_left(old / "kafka" / "spool-0")
    spool_left(old / "kafka" / "left-1")
    spool_left(old / "newrelic" / "spool-0")

    assert spool_of(DEFAULT, "kafka", state(tmp_path)).path == new

    assert rows_in(new / "kafka") == 6
    assert not (old / "kafka").exists()
    assert rows_in(old / "newrelic") == 3
    spool_left(old / "kafka" / "spool-0", rows=5)
    assert spool_of(DEFAULT, "kafka", state(tmp_path)).path == new
    assert rows_in(new / "kafka") == 6, "only once"
    assert rows_in(old / "kafka") == 5


def test_a_spool_of_before_that_someone_delivers_stays(tmp_path: Path) -> None:
    """A job of another configuration may use it."""
    used = Spool(tmp_path / "spool" / "kafka" / "spool-0")
    new = tmp_path / "state" / "run" / "spool"
    assert spool_of(DEFAULT, "kafka", state(tmp_path)).path == new
    assert (tmp_path / "spool" / "kafka" / "spool-0").exists()
    assert not (new / "kafka").exists()
    used.close()


def test_a_spool_of_before_that_cannot_be_moved_stays_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another file system, for example: it is said, and nothing is lost."""
    spool_left(tmp_path / "spool" / "kafka" / "spool-0")

    def across(*_: Any) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "rename", across)
    assert spool_of(DEFAULT, "kafka", state(tmp_path)).path == place.BEFORE
    assert "the spool stays where it lay before" in caplog.text


class Nowhere:
    """A destination that is away."""

    name = "nowhere"

    def pack(self, *_: Any) -> Any:
        return iter(())

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, *_: Any) -> None:
        raise RetryLater("away")


def opened(job: JobContext) -> None:
    def destination(_: JobContext) -> Destination:
        return Nowhere()

    spool = SpoolSettings(path=Path("spool"))
    described = NetworkSink("nowhere", "", spool, destination, probe=lambda _: "")
    network_sink(described).open(job)


def test_a_spool_that_is_taken_is_said_at_the_start(tmp_path: Path) -> None:
    """Not when the first samples come; processes of one cluster share it."""
    used = Spool(tmp_path / "spool" / "nowhere" / "spool-2")
    with pytest.raises(SpoolInUseError, match=r"spool-2: another mqpipe delivers this spool"):
        opened(job_in(tmp_path))
    opened(job_in(tmp_path, processes=2))
    used.close()
    opened(job_in(tmp_path))
    require_free(tmp_path / "spool" / "nowhere")


def test_what_waits_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask is: samples and answers may be confidential."""
    before = os.umask(0)
    try:
        spool_left(tmp_path / "deep" / "spool" / "kafka" / "spool-0")
        make_private(tmp_path / "a" / "b")
        write_private(tmp_path / "a" / "b" / "c", "x")
    finally:
        os.umask(before)
    for root in (tmp_path / "deep", tmp_path / "a"):
        for path in (root, *root.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path
