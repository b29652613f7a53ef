"""Kafka's jars are brought once, whole, and a failure says what to do."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kafka.jars import MissingToolError, UnresolvedJarsError, resolve_jars


def _fake_maven(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Puts a `mvn` that runs `script` alone on PATH; returns the empty cache directory."""
    maven = directory / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{script}")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(maven.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "cache"))
    return directory / "cache" / "mqpipe"


COPY = """
(into,) = [a.partition("=")[2] for a in sys.argv if a.startswith("-DoutputDirectory=")]
with (Path(__file__).parent / "calls").open("a") as calls:
    calls.write("called\\n")
(Path(into) / "kafka.jar").touch()
"""


def test_many_at_once_call_maven_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that race for the jars wait for the first and find its directory."""
    cache = _fake_maven(tmp_path, monkeypatch, COPY)
    with ThreadPoolExecutor(4) as threads:
        found = {f.result() for f in [threads.submit(resolve_jars) for _ in range(4)]}
    (jars,) = found
    assert [path.name for path in jars.iterdir()] == ["kafka.jar"]
    assert (tmp_path / "bin" / "calls").read_text() == "called\n"
    assert [path for path in cache.iterdir() if path.is_dir()] == [jars]


def test_a_failure_of_maven_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has Maven's words, and the next call tries again."""
    cache = _fake_maven(tmp_path, monkeypatch, 'sys.exit("no such artifact")')
    for _ in range(2):
        with pytest.raises(UnresolvedJarsError, match="no such artifact"):
            resolve_jars()
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_a_missing_maven_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the command, its package, and the way around."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(
        MissingToolError, match=r"`mvn`.*apt-get install maven.*MQPIPE_TEST_BOOTSTRAP"
    ):
        resolve_jars()
