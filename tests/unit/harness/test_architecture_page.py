"""docs/architecture.md, from which one finds where things are."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("package", ["operators", "sinks", "flows"])
def test_page_names_every_module_and_package_below_the_top(package: str) -> None:
    inside = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / package).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    missing = {name for name in inside - {"__init__.py"} if f"`{name}" not in PAGE}
    assert not missing
