"""What a job keeps on disk: for its owner alone, and for one job."""

import os
import stat
from pathlib import Path

import pytest

from tests.mqpipe import kill, mqpipe, start, wait_for_log

pytestmark = pytest.mark.timeout(120)

CONFIG = """
interval: 200ms
account_id: 7
simulation: {{fleets: [{{name: a}}]}}
sinks:
  newrelic: {{license_key: "0123456789", endpoint: "http://127.0.0.1:1"{spool}}}
  parquet: {{path: samples{state}}}
dead_letters: {{path: deep/dead}}
shutdown: {{grace: 1s}}
recovery: {{path: deep/{state}, epoch: 200ms}}
metrics: {{listen: null}}
"""


def write(folder: Path, state: str, spool: str = "") -> None:
    text = CONFIG.format(state=state, spool=spool)
    (folder / f"{state}.yaml").write_text(text)


@pytest.fixture
def _open_umask() -> object:
    before = os.umask(0)
    yield None
    os.umask(before)


@pytest.mark.usefixtures("_open_umask")
def test_state_and_spool_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask; two jobs in one folder have a spool each, with their states."""
    for state in ("one", "other"):
        write(tmp_path, state)
    first = start(tmp_path, "run", "one.yaml", "--no-live")
    wait_for_log(first, "delivery retried")
    second = mqpipe(tmp_path, "run", "other.yaml", "--no-live", "--for", "1s")
    assert second.code == 0, second.err
    kill(first)
    assert not (tmp_path / "spool").exists()
    for state in ("one", "other"):
        assert list((tmp_path / "deep" / state / "run" / "spool" / "newrelic").iterdir())
    for path in (tmp_path / "deep", *(tmp_path / "deep").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_spool_that_another_job_uses_is_said_at_the_start(tmp_path: Path) -> None:
    """At once, and before any sample is made."""
    for state in ("one", "other"):
        write(tmp_path, state, spool=", spool: {path: shared}")
    first = start(tmp_path, "run", "one.yaml", "--no-live")
    wait_for_log(first, "delivery retried")
    second = mqpipe(tmp_path, "run", "other.yaml", "--no-live", timeout=60)
    assert second.code == 1
    assert "another mqpipe delivers this spool; stop it, or give each" in second.err
    assert "Traceback" not in second.err
    assert not list((tmp_path / "samplesother").rglob("*.parquet"))
    kill(first)
