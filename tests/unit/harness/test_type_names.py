"""One name for one type: whoever searches for it finds one place."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]


def types_of(file: Path) -> Iterator[str]:
    """The classes of a module, and its names for types; those of the module alone without their `_`."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        names = []
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        for name in (name.lstrip("_") for name in names):
            if name[:1].isupper() and not name.isupper():
                yield name


def test_no_two_types_of_the_product_have_one_name() -> None:
    places = defaultdict(list)
    for package in ("flows", "operators", "sinks"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for name in types_of(file):
                places[name].append(str(file.relative_to(ROOT)))
    assert len(places) > 500
    twice = {name: files for name, files in places.items() if len(files) > 1}
    assert not twice
