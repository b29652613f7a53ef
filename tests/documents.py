"""The code blocks of README and docs, and how each kind is tried.

A fenced block says by its language what it is; a comment line just before it says more:

- `<!-- kafka -->`: its commands need a broker, which `KAFKA_BOOTSTRAP` names;
- `<!-- exit: N -->`: its last command ends with N instead of 0;
- `<!-- not run: why -->`: it is not tried.

A block with `title="name"` is that file in the page's folder. In expected output `…` stands for
anything.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("**/*.md")])

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?: +title=\"(?P<title>[^\"]+)\")?\s*$")
_COMMENT = re.compile(r"^<!-- (?P<word>kafka|exit|not run)(?:: (?P<detail>.+))? -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    notes: Mapping[str, str]
    """What the comments before it say, by their word."""

    @property
    def where(self) -> str:
        """Page and line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a `console` block and the output that the page shows; empty: none is shown."""

    command: str
    output: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    found = []
    notes: dict[str, str] = {}
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if comment := _COMMENT.match(line.strip()):
            notes[comment["word"]] = comment["detail"] or ""
        elif fence := _FENCE.match(line):
            text = [inner.removeprefix(fence["indent"]) for inner in _until_fence(lines)]
            found.append(
                Block(page, number, fence["language"], fence["title"], "\n".join(text), notes)
            )
            notes = {}
        elif line.strip():
            notes = {}
    return found


def _until_fence(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == "```":
            return
        yield line


def commands(block: Block) -> list[Command]:
    """The commands of a `console` block: lines after `$ `, continued after a backslash."""
    found: list[Command] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line.removeprefix("$ ")
            while command.endswith("\\"):
                command = command[:-1] + next(lines).strip()
            found.append(Command(command, ""))
        else:
            last = found[-1]
            found[-1] = Command(last.command, f"{last.output}{line}\n")
    return found


def matches(expected: str, actual: str) -> bool:
    """Whether an output is the shown one, `…` standing for anything."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, actual.strip(), re.DOTALL) is not None


def shell(command: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command in a folder; its exit code, and its two outputs as they came."""
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    return ended.returncode, ended.stdout


def on_top_of(base: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the keys of a part of one in place of its own."""
    merged = dict(base)
    for key, value in part.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = on_top_of(below, value) if both else value  # type: ignore[arg-type]
    return merged


def whole_config(part: str) -> str:
    """A part of a configuration as a whole one: what it lacks is that of a small fleet."""
    base = {
        "mode": "simulation",
        "account_id": 1,
        "simulation": {"fleets": [{"name": "demo"}, {"name": "sim-eu"}]},
        "sinks": {"parquet": {"path": "samples"}},
    }
    return str(yaml.safe_dump(on_top_of(base, yaml.safe_load(part)), allow_unicode=True))


def links(page: Path) -> Sequence[str]:
    """Where the page's links lead to, those to other sites left out."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]
