"""README and docs are true: their commands run, their configurations are valid, links lead on."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.config import Config
from flows.loading import parse
from tests.document_trials import PLACEHOLDERS, needs_kafka, try_page
from tests.documents import PAGES, ROOT, blocks, links
from tests.forked import SCRIPT
from tests.forked_script import script_in

ROOMS = ("flows", "operators", "sinks")
EXAMPLES = sorted((ROOT / "docs/examples").glob("*.yaml"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

NEW_INTERPRETERS = ("README.md", "docs/collectors.md")
"""Pages whose commands are the console script itself; those of others are forked."""

AT_ONCE = 4
"""Pages that are tried side by side: for half of their time they wait for ticks."""


@pytest.fixture(scope="module")
def bootstrap(request: pytest.FixtureRequest) -> str | None:
    """The broker's address; none where there cannot be one."""
    try:
        address: str = request.getfixturevalue("kafka").bootstrap_servers
    except pytest.skip.Exception:
        return None
    return address


@pytest.fixture(scope="module")
def trials(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    bootstrap: str | None,
) -> Iterator[Mapping[str, Future[None]]]:
    """The trials of all pages that were asked for, the longest begun first."""
    asked = [
        name
        for name in NAMES
        if any(f"does_what_it_says[{name}]" in i.nodeid for i in request.session.items)
    ]
    asked.sort(key=lambda name: -len(blocks(ROOT / name)))
    given = dict(os.environ)
    with (
        script_in(tmp_path_factory.mktemp("scripts")) as forked,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        yield {
            name: threads.submit(
                try_page,
                ROOT / name,
                tmp_path_factory.mktemp("page"),
                SCRIPT.parent if name in NEW_INTERPRETERS else forked,
                bootstrap,
                given,
            )
            for name in asked
            if bootstrap is not None or not needs_kafka(ROOT / name)
        }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_page_does_what_it_says(name: str, trials: Mapping[str, Future[None]]) -> None:
    """A page's blocks, tried from top to bottom in one folder, from which modules are imported."""
    if name not in trials:
        pytest.skip("needs a Kafka broker")
    trials[name].result()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_example_is_a_valid_configuration(file: Path) -> None:
    """What lies in docs/examples can be run as it is, secrets given."""
    parse(Config, file.read_text(encoding="utf-8"), str(file), PLACEHOLDERS)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Each link within the tree leads to a file that is there."""
    page = ROOT / name
    for link in links(page):
        path = link.partition("#")[0]
        assert not path or (page.parent / path).exists(), f"{name}: {link}"


def test_reference_pages_are_those_of_the_code() -> None:
    """Configuration and metrics are documented as they are."""
    checked = subprocess.run(
        [sys.executable, "-m", "flows.reference", "docs", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_documentation_is_built_without_a_warning(tmp_path: Path) -> None:
    """Every page has its place, and every link and anchor is right."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr


def test_listed_messages_are_those_of_the_code() -> None:
    """Each message on the page of errors is said somewhere, whatever stands for its `…`."""
    said = "\n".join(_texts(file) for room in ROOMS for file in (ROOT / room).rglob("*.py"))
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or "message" in cells:
            continue
        message = cells[1 if len(cells) == 3 else 0].strip("`")
        for part in filter(str.strip, message.split("…")):
            assert part.strip() in said, message


def _texts(file: Path) -> str:
    """All text in a module's strings, one string a line."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return "\n".join(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
