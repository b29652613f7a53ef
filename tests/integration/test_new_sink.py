"""A sink is added by one folder and one line, as the documentation has it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.documents import ROOT, blocks

PAGE = ROOT / "docs/extending.md"
ROOMS = ("flows", "operators", "sinks")
CONFIG = """
interval: 1s
simulation: {fleets: [{name: demo, topics: 2, groups: 1}]}
sinks: {folder: {path: arrows}}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The product's rooms with the page's files and its line in them."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room)
    files = {b.title: b.text for b in blocks(PAGE) if b.title and b.title.startswith("sinks/")}
    for title, text in files.items():
        file = tmp_path / title
        file.parent.mkdir(exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    (line,) = (b.text for b in blocks(PAGE) if b.text.startswith("folder: "))
    config = tmp_path / "flows/config.py"
    first = "    parquet: ParquetSettings"
    text = config.read_text(encoding="utf-8").replace(first, f"    {line}\n{first}", 1)
    imported = "from sinks.folder.settings import FolderSettings\n"
    config.write_text(text.replace("from sinks.", f"{imported}from sinks.", 1), encoding="utf-8")
    (tmp_path / "mqpipe.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def mqpipe(tree: Path, *arguments: str) -> str:
    """What a command prints, run with the modules of that tree."""
    code = "from flows.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_sink_is_one_folder_and_one_line(tree: Path) -> None:
    """Every command knows it: what is run is delivered, and what is checked and redelivered."""
    assert "ok: sink folder: will be made\n" in mqpipe(tree, "check", "mqpipe.yaml", "--connect")
    mqpipe(tree, "run", "mqpipe.yaml", "--for", "2s")
    rows = 0
    for file in (tree / "arrows").glob("*.arrow"):
        rows += pa.ipc.open_file(file).read_all().num_rows
    # A cluster, three brokers, two topics, a group and its two topics, at each of two ticks.
    assert rows == 2 * 9
    said = mqpipe(tree, "redeliver", "mqpipe.yaml")
    assert said.startswith("folder: 0 samples delivered, 0 stay dead letters, 0 bytes wait")
