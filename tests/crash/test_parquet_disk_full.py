"""A full disk: a clear error, no damaged file in sight, and with room the job goes on."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.crash.flow_processes import start
from tests.crash.test_files_crash import MORE, finish
from tests.samples import published


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "folder", "what"),
    [
        ("rolled", "waiting", "a record of"),
        ("rolled", "samples", "samples"),
        ("direct", "samples", "samples"),
    ],
)
def test_a_full_disk_ends_the_job_and_loses_nothing(
    tmp_path: Path, small_disk: Callable[[Path, str], None], kind: str, folder: str, what: str
) -> None:
    """The message says where and what to do; every visible file is whole; no row is lost."""
    small_disk(tmp_path / folder, "120k")
    job = start("files_flow", tmp_path, kind, "--more", MORE)
    _, message = job.communicate(timeout=100)
    assert job.returncode > 0
    assert f"no room on disk for {what}" in message
    assert f"in {tmp_path / folder}" in message
    assert "free some space" in message
    for file in published(tmp_path / "samples"):
        assert pq.ParquetFile(file).read().num_rows > 0
    small_disk(tmp_path / folder, "64m")
    finish(kind, tmp_path)
