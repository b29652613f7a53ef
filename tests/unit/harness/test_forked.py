"""Processes that are forked are what new interpreters would be."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.forked import MQPIPE, SCRIPT, Forked

PIPE = subprocess.PIPE

ECHO = """
import os, sys
print(__name__, sys.argv[1:], os.getcwd(), os.environ["WORD"], "HOME" in os.environ)
print(sys.stdin.read(), file=sys.stderr)
sys.exit(3)
"""


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "WORD": "ünï"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "c.yaml").write_text("interval: soon")
    return tmp_path


def test_arguments_folder_environment_streams_and_exit_code_are_its_own(folder: Path) -> None:
    """And it is this process's child, as any other is."""
    given = ["a b", "c"]
    job = Forked("echo", given, folder, environment(folder), stdin=PIPE, stdout=PIPE, stderr=PIPE)
    out, err = job.communicate("in", timeout=60)
    assert out == f"__main__ ['a b', 'c'] {folder} ünï False\n"
    assert (err, job.returncode) == ("in\n", 3)


def test_it_can_be_killed(folder: Path) -> None:
    """By its number, and its parent hears how it ended."""
    with Forked("echo", [], folder, environment(folder), stdin=PIPE, stdout=PIPE) as job:
        assert job.stdout is not None
        job.kill()
        assert job.wait(60) == -signal.SIGKILL
        assert job.stdout.read() == ""


@pytest.mark.parametrize("arguments", [["check", "c.yaml"], ["--help"], ["run", "--for", "soon"]])
def test_a_command_says_what_the_console_script_says(
    folder: Path, arguments: Sequence[str]
) -> None:
    """On both streams, with the same exit code."""
    forked = Forked(MQPIPE, arguments, folder, environment(folder), stdout=PIPE, stderr=PIPE)
    out, err = forked.communicate(timeout=60)
    ran = subprocess.run(
        [SCRIPT, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (out, err, forked.returncode) == (ran.stdout, ran.stderr, ran.returncode)


def test_what_is_prepared_starts_no_thread_of_python(folder: Path) -> None:
    """A fork has none of them: those of the allocator, which it starts anew, are the only ones."""
    (folder / "threads.py").write_text(
        "from pathlib import Path\n"
        "for task in Path('/proc/self/task').iterdir(): print((task / 'comm').read_text().strip())"
    )
    job = Forked("threads", [], folder, environment(folder), stdout=PIPE)
    out, _ = job.communicate(timeout=60)
    main, *others = out.split()
    assert main.startswith("python")
    assert all(name.startswith("jemalloc") for name in others), others
