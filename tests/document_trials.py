"""A page of the documentation tried: its blocks, from top to bottom, in a folder of their own."""

import importlib
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from flows.config import Config
from flows.loading import parse
from tests.documents import ROOT, Block, blocks, commands, matches, shell, whole_config

PLACEHOLDERS = {
    "KAFKA_BOOTSTRAP": "localhost:9092",
    "KAFKA_PASSWORD": "placeholder",
    "NEW_RELIC_LICENSE_KEY": "placeholder",
}
LANGUAGES = {"console", "yaml", "python", "sql", "text", "json"}

_importing = threading.Lock()


def needs_kafka(page: Path) -> bool:
    """Whether one of the page's blocks needs a broker."""
    return any("kafka" in block.notes for block in blocks(page))


def try_page(
    page: Path, folder: Path, scripts: Path, bootstrap: str | None, given: Mapping[str, str]
) -> None:
    """Try every block of a page in an empty folder; `bootstrap` is the broker's address.

    `mqpipe` is the console script in the folder `scripts`. `given` is the process's environment,
    read by whoever starts the thread: pytest writes to it.

    Raises:
        AssertionError: a block does not do what the page says.
    """
    environment = {
        **given,
        **PLACEHOLDERS,
        "PATH": f"{scripts}:{Path(sys.executable).parent}:{given['PATH']}",
        "COLUMNS": "80",
    }
    if bootstrap is not None:
        environment["KAFKA_BOOTSTRAP"] = bootstrap
    (folder / ".venv").symlink_to(sys.prefix)
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.where}: a block without a known language"
        if "not run" not in block.notes:
            _try(block, folder, environment)


def _try(block: Block, folder: Path, environment: dict[str, str]) -> None:
    if block.title is not None:
        _write(folder / block.title, block)
    if block.language == "console":
        _run(block, folder, environment)
    elif block.language == "yaml" and (block.title or ".yaml").endswith(".yaml"):
        text = block.text if block.title else whole_config(block.text)
        with _modules_of(folder):
            parse(Config, text, block.where, environment)
    elif block.language == "python" and block.title is None:
        code, output = shell(f"{sys.executable} - <<'E'\n{block.text}\nE", folder, environment)
        assert code == 0, f"{block.where}:\n{output}"
    elif block.language == "sql":
        with duckdb.connect() as database:
            database.execute(f"SET file_search_path = '{folder}'")
            assert database.sql(block.text).fetchall(), f"{block.where}: no rows"


def _write(file: Path, block: Block) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = block.text + "\n"
    if block.language == "yaml" and "\nmetrics:" not in text:
        # The port that it would serve on by default may be in use here.
        text += 'metrics: {listen: "127.0.0.1:0"}\n'
    file.write_text(text, encoding="utf-8")


def _run(block: Block, folder: Path, environment: Mapping[str, str]) -> None:
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


@contextmanager
def _modules_of(folder: Path) -> Iterator[None]:
    """Import from a folder while the block runs, and forget what was imported from there."""
    with _importing:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            for name, module in list(sys.modules.items()):
                if Path(getattr(module, "__file__", None) or "/").parent == folder:
                    del sys.modules[name]
