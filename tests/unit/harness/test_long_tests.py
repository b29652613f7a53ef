"""The tests that are left to `make test-long` are listed in CONTRIBUTING.md."""

import re

from tests.documents import ROOT

LONG = re.compile(r"mark\.long\(|tests\.crash\.kills")


def test_every_file_with_a_long_test_is_listed() -> None:
    """And no other."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Long tests")[2]
    firsts = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    listed = {
        name
        for cell in firsts
        for name in re.findall(r"(?:crash/|integration/|unit/\S+/)?(test_\w+)\.py", cell)
    }
    marked = {
        file.stem
        for file in (ROOT / "tests").rglob("test_*.py")
        if LONG.search(file.read_text(encoding="utf-8"))
    }
    assert listed == marked
