"""Who looks for the tests of a module finds them in the folder of the same name."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

EXCEPTIONS: dict[str, str] = {}
"""Folders of the product that hold modules and have no folder of tests, each with why."""


def packages(top: str) -> list[str]:
    """Its folders that hold more than what makes them packages, itself among them."""
    folders = [ROOT / top, *(path.parent for path in (ROOT / top).rglob("__init__.py"))]
    return sorted(
        {
            folder.relative_to(ROOT).as_posix()
            for folder in folders
            if any(path.name not in ("__init__.py", "__main__.py") for path in folder.glob("*.py"))
            or "def " in (folder / "__init__.py").read_text(encoding="utf-8")
        }
    )


@pytest.mark.parametrize("top", ["flows", "operators", "sinks"])
def test_each_folder_of_the_product_has_its_folder_of_unit_tests(top: str) -> None:
    found = packages(top)
    assert len(found) > 5
    missing = {
        folder
        for folder in found
        if folder not in EXCEPTIONS and not list((ROOT / "tests/unit" / folder).glob("test_*.py"))
    }
    assert not missing, "write tests there, or say why there are none in EXCEPTIONS"


@pytest.mark.parametrize("top", ["flows", "operators", "sinks"])
def test_no_folder_of_unit_tests_is_of_a_folder_that_is_gone(top: str) -> None:
    tests = ROOT / "tests/unit"
    folders = {path.parent.relative_to(tests) for path in (tests / top).rglob("test_*.py")}
    assert {folder for folder in folders if not (ROOT / folder).is_dir()} == set()
