"""A Dockerfile's build stage, step by step in a clean directory.

There is no container: absolute paths that the stage makes lie below that directory, and `python`
is a given interpreter in place of the image's. What it shows is that the steps fit the tree and
each other; what it does not show is that the base images are there and hold what is taken for
granted.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

MADE = ("/src", "/build", "/dist", "/opt/mqpipe")
"""Absolute paths that the build stage makes."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of a Dockerfile."""

    name: str
    text: str


def stages(dockerfile: Path) -> list[list[Instruction]]:
    """The instructions of each stage; a stage begins with its FROM."""
    found: list[list[Instruction]] = []
    for instruction in _instructions(dockerfile):
        if instruction.name == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def _instructions(dockerfile: Path) -> Iterator[Instruction]:
    for line in dockerfile.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, text = line.partition(" ")
            yield Instruction(name, text.strip())


def run_stage(
    stage: list[Instruction],
    directory: Path,
    python: Path,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Execute a stage's COPY and RUN instructions below a directory that is empty.

    Raises:
        subprocess.CalledProcessError: a step failed; its output is in the error.
    """
    bin_ = directory / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "python").symlink_to(python)
    workdir = directory
    for step in stage:
        report(f"{step.name} {step.text}")
        if step.name == "WORKDIR":
            workdir = directory / step.text.lstrip("/")
            workdir.mkdir(parents=True)
        elif step.name == "COPY":
            _copy(step.text.split(), workdir)
        elif step.name == "RUN":
            command = re.sub(r" --no-cache(-dir)?(?= )", "", _below(directory, step.text))
            # How packages are reached (proxies, certificates, what was fetched before) is this
            # machine's affair.
            environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
            environment["PATH"] = f"{bin_}:/usr/bin:/bin"
            subprocess.run(
                ["bash", "-ec", command],
                cwd=workdir,
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )


def _copy(arguments: list[str], workdir: Path) -> None:
    *sources, target = arguments
    for name in sources:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, workdir / target, ignore=ignored)
        else:
            shutil.copy(source, workdir / target / source.name)


def _below(directory: Path, command: str) -> str:
    made = "|".join(re.escape(path) for path in MADE)
    return re.sub(rf"(?<![\w/])({made})(?![\w-])", lambda m: f"{directory}{m[1]}", command)
