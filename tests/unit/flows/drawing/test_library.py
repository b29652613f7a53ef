"""What draws a report's plots, where it is not installed."""

import shlex
import sys

import pytest

from flows.drawing.library import script
from flows.errors import MissingExtraError


def test_a_report_without_its_extra_names_the_one_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For the environment that this process runs in, whichever that is."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError) as raised:
        script.__wrapped__()  # Another test may have had it drawn up already.
    words = shlex.split(str(raised.value).rpartition(": ")[2])
    assert words[0].rpartition("/")[2] == "uv"
    assert words[1:4] == ["pip", "install", "--python"]
    assert words[4:] == [sys.executable, "vl-convert-python>=1.8"]
