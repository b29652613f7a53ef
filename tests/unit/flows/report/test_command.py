"""What `mqpipe report` says of a place where it cannot write."""

from pathlib import Path

import pytest

import flows.report.command
from flows.errors import CommandError
from flows.report.command import ReportOptions, report
from operators.schema.metrics import CLUSTER
from tests.hybrid_morning import rows, write


@pytest.mark.parametrize(
    ("out", "png"), [("file/r.html", None), ("folder", None), ("r.html", "file")]
)
def test_a_place_that_cannot_be_written_is_reported_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, png: str | None
) -> None:
    """What takes seconds to make is not made in vain; and nothing is left behind."""
    write(tmp_path / "samples", [rows(CLUSTER, "c", range(3))])
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    def too_late(*_: object) -> None:
        raise AssertionError("it was read for nothing")

    monkeypatch.setattr(flows.report.command, "summarize", too_late)
    options = ReportOptions(tmp_path / out, None if png is None else tmp_path / png)
    with pytest.raises(CommandError, match=r"the report cannot be written there: .*; name another"):
        report(str(tmp_path / "samples"), options)
    assert not (tmp_path / "r.html").exists()
