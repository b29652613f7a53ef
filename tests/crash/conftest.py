"""Fixtures of the crash tests."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


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
