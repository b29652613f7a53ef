"""README and docs are true: their commands run, their configurations are valid, links lead on."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from flows.config import Config
from flows.loading import parse
from tests.documents import (
    PAGES,
    ROOT,
    Block,
    blocks,
    commands,
    links,
    matches,
    shell,
    whole_config,
)
from tests.kafka.cluster import Kafka

ROOMS = ("flows", "operators", "sinks")
LANGUAGES = {"console", "yaml", "python", "sql", "text", "json"}
PLACEHOLDERS = {
    "KAFKA_BOOTSTRAP": "localhost:9092",
    "KAFKA_PASSWORD": "placeholder",
    "NEW_RELIC_LICENSE_KEY": "placeholder",
}
EXAMPLES = sorted((ROOT / "docs/examples").glob("*.yaml"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_page_does_what_it_says(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's blocks, tried from top to bottom in one folder, from which modules are imported."""
    monkeypatch.syspath_prepend(tmp_path)
    environment = {
        **os.environ,
        **PLACEHOLDERS,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "80",
    }
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for block in blocks(ROOT / name):
        assert block.language in LANGUAGES, f"{block.where}: a block without a known language"
        if "not run" in block.notes:
            continue
        if "kafka" in block.notes:
            kafka: Kafka = request.getfixturevalue("kafka")
            environment["KAFKA_BOOTSTRAP"] = kafka.bootstrap_servers
        _try(block, tmp_path, environment)


def _try(block: Block, folder: Path, environment: dict[str, str]) -> None:
    if block.title is not None:
        file = folder / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        text = block.text + "\n"
        if block.language == "yaml" and "\nmetrics:" not in text:
            # The port that it would serve on by default may be in use here.
            text += 'metrics: {listen: "127.0.0.1:0"}\n'
        file.write_text(text, encoding="utf-8")
    if block.language == "console":
        _run(block, folder, environment)
    elif block.language == "yaml" and (block.title or ".yaml").endswith(".yaml"):
        text = block.text if block.title else whole_config(block.text)
        parse(Config, text, block.where, environment)
    elif block.language == "python" and block.title is None:
        code, output = shell(f"{sys.executable} - <<'E'\n{block.text}\nE", folder, environment)
        assert code == 0, f"{block.where}:\n{output}"
    elif block.language == "sql":
        with duckdb.connect() as database:
            database.execute(f"SET file_search_path = '{folder}'")
            assert database.sql(block.text).fetchall(), f"{block.where}: no rows"


def _run(block: Block, folder: Path, environment: dict[str, str]) -> None:
    steps = commands(block)
    for step in steps:
        wanted = int(block.notes.get("exit", 0)) if step is steps[-1] else 0
        if step.command.startswith("make "):
            # What it does is what other tests do; here it is enough that there is such a target.
            code, output = shell(step.command.replace("make", "make -n", 1), ROOT, environment)
            output = ""
        else:
            code, output = shell(step.command, folder, environment)
        assert code == wanted, f"{block.where}: `{step.command}` ended with {code}:\n{output}"
        if step.output:
            assert matches(step.output, output), f"{block.where}: `{step.command}` says:\n{output}"


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
