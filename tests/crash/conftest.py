"""Fixtures of the crash tests."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def no_child_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kills what a test that fails leaves running, and closes its pipes."""
    children: list[subprocess.Popen[Any]] = []

    start = subprocess.Popen.__init__

    def noted(self: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> None:
        start(self, *args, **kwargs)
        children.append(self)

    monkeypatch.setattr(subprocess.Popen, "__init__", noted)
    yield
    for child in children:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, str], None]]:
    """Mounts a small disk on a directory; mounting again gives it another size."""
    mounted: list[Path] = []

    def mount(path: Path, size: str) -> None:
        options = f"remount,size={size}" if path in mounted else f"size={size}"
        path.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}")
        mounted.append(path)

    yield mount
    for path in set(mounted):
        subprocess.run(["umount", "--lazy", str(path)], check=True)
