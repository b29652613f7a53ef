"""Files of state that are damaged, strange or gone: each is named, with what to do, and kept."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.mqpipe import (
    Ended,
    kill,
    mqpipe,
    samples,
    start,
    stored_epoch,
    wait_for_log,
    wait_until,
)

pytestmark = pytest.mark.timeout(120)

CONFIG = """
interval: 500ms
simulation: {{fleets: [{{name: {fleet}, brokers: 1, topics: 1, groups: 1}}]}}
sinks:
  parquet: {{path: samples}}
  kafka: {{bootstrap_servers: "127.0.0.1:9", topic: x}}
recovery: {{path: state, epoch: 500ms}}
shutdown: {{grace: 1s}}
metrics: {{listen: null}}
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a run left that was killed; rows wait for each sink."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "c.yaml").write_text(CONFIG.format(fleet="demo"))
    process = start(folder, "run", "c.yaml", "--no-live")
    wait_for_log(process, "run started")
    wait_until(process, lambda: stored_epoch(folder / "state/run") >= 4)
    kill(process)
    return folder


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(killed, tmp_path / "copy")


def run(folder: Path) -> Ended:
    return mqpipe(folder, "run", "c.yaml", "--no-live", "--for", "1s")


def said(ended: Ended) -> str:
    """The one line that says why it ended; it is no traceback."""
    assert ended.code == 1, ended.err[-4000:]
    assert "Traceback" not in ended.err
    (line,) = [line for line in ended.err.splitlines() if line.startswith("mqpipe: ")]
    return line


def whole(folder: Path) -> bool:
    """Whether each tick from the first to the last is there, once."""
    ticks = samples(folder / "samples", "topic")["timestamp"].dt.epoch("ms").sort().to_list()
    return ticks == list(range(ticks[0], ticks[-1] + 1, 500))


@pytest.mark.parametrize("name", ["run.json", "partitions.json", "spool/kafka/*/backlog.json"])
def test_a_broken_document_is_named_with_what_to_do(folder: Path, name: str) -> None:
    """Restored, the job goes on with nothing lost."""
    (file, *_) = (folder / "state/run").glob(name)
    before = file.read_bytes()
    file.write_text("[]")
    line = said(run(folder))
    assert str(file.relative_to(folder)) in line
    assert "restore it from a copy, or " in line or "remove the file to send" in line
    file.write_bytes(before)
    assert "run ended" in run(folder).err
    assert whole(folder)


def test_partitions_that_are_not_noted_are_known_from_the_store(folder: Path) -> None:
    """Without the document, and with another fleet, the job starts: as the document would have it."""
    (folder / "state/run/partitions.json").unlink()
    (folder / "c.yaml").write_text(CONFIG.format(fleet="other"))
    ended = run(folder)
    assert "run ended" in ended.err, ended.err
    noted = json.loads((folder / "state/run/partitions.json").read_text())
    assert noted["fleets"] == ["demo", "other"]


def test_a_stray_file_is_left_alone_and_reported(folder: Path) -> None:
    """Of a lock's and of a segment's name, and a folder of a segment's."""
    strays = [
        folder / "state/run/lock-abc",
        folder / "state/run/parquet/demo/abc.log",
        folder / "state/run/parquet/demo/0000000009.log",
    ]
    for stray in strays[:2]:
        stray.write_text("hello")
    strays[2].mkdir()
    ended = run(folder)
    assert "run ended" in ended.err
    for stray in strays:
        assert str(stray.relative_to(folder)) in ended.err
        assert stray.exists()
    assert whole(folder)


def spoil(part: Path) -> None:
    """Bytes in the middle of a database."""
    data = bytearray(part.read_bytes())
    data[200:20_000] = b"\xa5" * len(data[200:20_000])
    part.write_bytes(data)


@pytest.mark.parametrize("damage", [spoil, Path.unlink])
def test_a_damaged_recovery_store_costs_no_row_that_waits(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    """The file is named. Moved away, as it says, the job starts over and publishes what waited."""
    store = folder / "state/run/recovery"
    for file in store.glob("part-2.sqlite3-*"):
        file.unlink()
    damage(store / "part-2.sqlite3")
    line = said(run(folder))
    assert "recovery" in line
    if damage is not Path.unlink:
        assert "state/run/recovery/part-2.sqlite3: damaged" in line
    assert "what waits for its sinks on disk is kept" in line
    assert any(log.stat().st_size for log in (folder / "state/run/parquet/demo").glob("*.log"))
    store.rename(folder / "moved")
    again = run(folder)
    assert "recovery store lost, rows that waited are published" in again.err, again.err
    ticks = samples(folder / "samples", "topic")["timestamp"].dt.epoch("ms").sort().to_list()
    assert len(ticks) == len(set(ticks))
    gaps = [b - a for a, b in pairwise(ticks) if b - a > 500]
    assert len(gaps) == 1, "what waited, and what came after"


def test_rows_of_a_step_that_has_another_name_are_not_dropped(folder: Path) -> None:
    """A build that calls it otherwise does not start, and says which one published them."""
    owner = folder / "state/run/parquet/demo/owner.json"
    document = json.loads(owner.read_text())
    assert document["step"] == "mqpipe.parquet"
    owner.write_text(json.dumps({**document, "step": "mqpipe.files", "build": "9.9"}))
    shutil.rmtree(folder / "state/run/recovery")
    line = said(run(folder))
    assert (
        "state/run/parquet/demo: the rows that wait here are of step mqpipe.files of mqpipe 9.9"
        in line
    )
    assert (folder / "state/run/parquet/demo/0000000000.log").stat().st_size


def test_a_state_of_a_build_with_other_steps_is_refused(folder: Path) -> None:
    """What they remember would be lost without a word."""
    writer = folder / "state/run/writer.json"
    document = json.loads(writer.read_text())
    steps = [step.replace("mqpipe.fleets", "mqpipe.shards") for step in document["steps"]]
    writer.write_text(json.dumps({**document, "steps": steps, "build": "9.9"}))
    line = said(run(folder))
    assert "written by mqpipe 9.9, whose steps mqpipe.shards this one, " in line


def test_a_state_that_is_removed_under_a_run_is_reported(folder: Path) -> None:
    """The job ends, and says what that cost."""
    process = start(folder, "run", "c.yaml", "--no-live")
    wait_for_log(process, "run started")
    stored = stored_epoch(folder / "state/run")
    wait_until(process, lambda: stored_epoch(folder / "state/run") >= stored + 2)
    shutil.rmtree(folder / "state")
    _, err = process.communicate(timeout=60)
    line = said(Ended(process.returncode, "", err))
    assert "is gone: someone removed it while the job ran" in line


def test_a_kill_before_the_first_snapshot_costs_no_tick(tmp_path: Path) -> None:
    """What was delivered meanwhile is in Parquet too: the fleet begins where it began."""
    text = CONFIG.format(fleet="demo").replace("epoch: 500ms", "epoch: 60s")
    (tmp_path / "c.yaml").write_text(text)
    process = start(tmp_path, "run", "c.yaml", "--no-live")
    spool = tmp_path / "state/run/spool/kafka/spool-0/0000000000.log"
    wait_until(process, lambda: spool.exists() and spool.stat().st_size > 100_000)
    kill(process)
    assert stored_epoch(tmp_path / "state/run") <= 1
    first = json.loads((tmp_path / "state/run/began.json").read_text())["ticks"]["demo"]
    assert "run ended" in run(tmp_path).err
    assert whole(tmp_path)
    ticks = samples(tmp_path / "samples", "topic")["timestamp"].dt.epoch("ms")
    assert ticks.min() == first
