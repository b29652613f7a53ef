"""Attacks that start jobs and commands, once each; `python -m tests.attack` makes them for an hour."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack import answers, files, scrapes
from tests.attack.__main__ import Attack
from tests.attack.place import place
from tests.documents import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("attack", [answers.attack, files.attack, scrapes.attack])
def test_jobs_and_commands_are_attacked(attack: Attack) -> None:
    """Once each, by one seed."""
    with place() as here:
        attack(random.Random("1/1"), here)


def test_the_command_ends_in_time_and_says_what_it_did(tmp_path: Path) -> None:
    """With 0 where nothing was found."""
    command = [sys.executable, "-m", "tests.attack", "--minutes", "0.05", "--seed", "1", "batches"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("seed 1: ")
    assert ended.stdout.endswith("; 0 findings\n")
