"""Names of loggers, by which users filter lines."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
OURS = re.compile(r"mqpipe\.[a-z]+")
NATIVE = {"stderr", "librdkafka"}
"""What those lines come from, which are not ours."""
NAMED = re.compile(r"\b(?:Log|getLogger)\((?!\))([^),]*)")


def loggers(source: str) -> list[str]:
    return [name.strip().strip("\"'") for name in NAMED.findall(source)]


@pytest.mark.parametrize("room", ["flows", "operators", "sinks"])
def test_each_logger_is_named_for_the_part_that_speaks(room: str) -> None:
    """Not for a module, which may move."""
    names = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / room).rglob("*.py")
        if path.name != "logs.py"
        for name in loggers(path.read_text())
    }
    assert names
    assert [each for each in names if each[1] not in NATIVE and not OURS.fullmatch(each[1])] == []


def test_a_logger_of_a_module_is_found() -> None:
    source = 'Log(__name__).info("a"); logging.getLogger("flows.run"); logging.getLogger()'
    assert loggers(source) == ["__name__", "flows.run"]
