"""The tests that are left to `make test-long` are few, and listed in CONTRIBUTING.md."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.documents import ROOT

TESTS = ROOT / "tests"
LONG = re.compile(r"mark\.long\(|tests\.crash\.kills")
NAMED = re.compile(r"`((?:crash|integration|unit)/\S*test_\w+\.py)`(?: \((\d+)\))?")
REASONS = ("kills: ", "minutes: ", "peer: ", "clusters: ")


class Row(NamedTuple):
    """A line of the table: files, each with its number of long tests, and what it says of them."""

    files: dict[str, int]
    why: str
    siblings: list[str]
    """Files with tests that are not long; the same files where none is named."""


def rows() -> Iterator[Row]:
    """The table of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Long tests")[2]
    for line in text.splitlines():
        if line.startswith("| `"):
            _, long, why, sibling, _ = (cell.strip() for cell in line.split("|"))
            files = {name: int(count or 1) for name, count in NAMED.findall(long)}
            yield Row(files, why, [name for name, _ in NAMED.findall(sibling)])


def test_every_file_with_a_long_test_is_listed() -> None:
    """And no other, each with one of the reasons that there are."""
    listed = {name for row in rows() for name in row.files}
    marked = {
        file.relative_to(TESTS).as_posix()
        for file in TESTS.rglob("test_*.py")
        if LONG.search(file.read_text(encoding="utf-8")) and file.name != "test_long_tests.py"
    }
    assert listed == marked
    assert [row.why for row in rows() if not row.why.startswith(REASONS)] == []


def test_they_are_few_and_each_has_a_short_sibling(request: pytest.FixtureRequest) -> None:
    """At most a twentieth of all that is collected, as many as the table says."""
    files = Counter[str]()
    long = Counter[str]()
    for item in request.session.items:
        file = item.path.relative_to(TESTS).as_posix()
        files[file] += 1
        long[file] += any(item.iter_markers("long"))
    if {"unit", "integration", "crash"} - {file.partition("/")[0] for file in files}:
        pytest.skip("counts all tests, and not all are collected")
    assert 20 * long.total() <= files.total()
    for row in rows():
        assert {file: long[file] for file in row.files} == row.files
        for file in row.siblings or row.files:
            assert files[file] > long[file], f"{file} has no test that is not long"
