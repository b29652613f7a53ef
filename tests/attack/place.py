"""A place to attack in: a custom home, from which nothing may get out."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import polars as pl

from tests.forked import SCRIPT

LONGEST = 60.0
"""Seconds in which whatever was started has ended, on a busy machine too."""

_ESCAPES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
_LABELS = ("cluster", "broker", "topic", "consumer_group", "queue")


class Found(Exception):  # noqa: N818 - it is what an attack is after
    """An attack has found something."""


@dataclass
class Place:
    """Folders of one attack: `work` is where mqpipe is started."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.root / "work"

    def write(self, name: str, text: str | bytes) -> Path:
        file = self.work / name
        if isinstance(text, str):
            text = text.encode("utf-8", "surrogatepass")
        file.write_bytes(text)
        return file

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start mqpipe; its streams go to files unless `more` says otherwise."""
        env = {**os.environ, **self.env, **more.pop("env", {})}
        with ExitStack() as ours:
            streams = {
                "stdin": subprocess.DEVNULL,
                "stdout": ours.enter_context((self.root / "out").open("ab")),
                "stderr": ours.enter_context((self.root / "err").open("ab")),
            }
            return subprocess.Popen(
                [str(SCRIPT), *arguments], cwd=self.work, env=env, **{**streams, **more}
            )

    def run(self, *arguments: str, timeout: float = LONGEST) -> int:
        """Run mqpipe to its end; what it said must be for people, and it must have ended well."""
        process = self.start(*arguments)
        code = self.ended(process, f"mqpipe {' '.join(arguments)}", timeout)
        self.look_at_what_was_said(code)
        return code

    def ended(self, process: subprocess.Popen[bytes], what: str, timeout: float = LONGEST) -> int:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGABRT)
            process.kill()
            process.wait()
            raise Found(f"hangs: {what} did not end in {timeout:g} s; {self.said()}") from None

    def expect(self, condition: Callable[[], Any], otherwise: str, seconds: float = 40.0) -> None:
        """Wait for what must come."""
        if not wait_until(condition, seconds):
            raise Found(otherwise)

    def said(self) -> str:
        texts = [
            (self.root / name).read_text(errors="replace")
            for name in ("out", "err")
            if (self.root / name).exists()
        ]
        return "".join(texts)[-3000:]

    def forget_what_was_said(self) -> None:
        for name in ("out", "err"):
            (self.root / name).unlink(missing_ok=True)

    def look_at_what_was_said(self, code: int) -> None:
        """No traceback, no control characters, an exit code that means something."""
        text = self.said()
        if "Traceback (most recent call last)" in text or "panicked at" in text:
            raise Found(f"a traceback (exit code {code}): {text}")
        if (escape := _ESCAPES.search(text)) is not None:
            raise Found(f"a control character {escape[0]!r} reaches the terminal: {text!r}")
        if code not in (0, 1, 2):
            raise Found(f"exit code {code}: {text}")
        if code and not text.strip():
            raise Found(f"exit code {code} without a word")

    def look_outside(self) -> None:
        """Nothing may lie beside the folder that mqpipe was started in."""
        known = {"work", "home", "tmp", "out", "err"}
        strange = [path for path in self.root.iterdir() if path.name not in known]
        for folder in ("home", "tmp"):
            strange += [p for p in (self.root / folder).rglob("*") if p.is_file()]
        if strange:
            raise Found(f"files outside their place: {sorted(map(str, strange))}")

    def keys(self, path: str = "samples") -> dict[str, pl.DataFrame]:
        """The keys of all samples that Parquet holds, by label; none may be there twice."""
        found = {}
        for label in _LABELS:
            files = sorted((self.work / path / f"type={label}").rglob("*.parquet"))
            if not files:
                continue
            columns = ["entity_guid", "timestamp", "origin"]
            frames = [
                pl.read_parquet(file, columns=columns, hive_partitioning=False).with_columns(
                    pl.col("entity_guid", "origin").cast(pl.String)
                )
                for file in files
            ]
            frame = pl.concat(frames)
            if frame.is_duplicated().any():
                raise Found(
                    f"samples are there twice ({label}): {frame.filter(frame.is_duplicated())}"
                )
            found[label] = frame
        return found

    def no_tick_is_missing(self, interval: int, path: str = "samples") -> None:
        """Each entity has a sample at each tick between its first and its last (ms)."""
        for label, frame in self.keys(path).items():
            counted = frame.group_by("entity_guid").agg(
                pl.len().alias("rows"),
                pl.col("timestamp").min().cast(pl.Int64).alias("first"),
                pl.col("timestamp").max().cast(pl.Int64).alias("last"),
            )
            due = (pl.col("last") - pl.col("first")) // interval + 1
            lost = counted.filter(pl.col("rows") != due)
            if lost.height:
                raise Found(f"samples are missing ({label}): {lost}")


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A place, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="attack-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        for name in ("work", "home", "tmp"):
            (root / name).mkdir()
        env = {
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "PYTHONFAULTHANDLER": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLUMNS": "200",
        }
        yield Place(root, env)


@contextlib.contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Interrupt what takes longer, in this process."""

    def stop(_: int, frame: FrameType | None) -> None:
        where = "".join(traceback.format_stack(frame)[-12:])
        raise Found(f"hangs: {what} took more than {seconds:g} s\n{where}")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def wait_until(condition: Callable[[], Any], seconds: float = LONGEST, every: float = 0.05) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


def written(values: Mapping[str, Any] | Sequence[Any]) -> str:
    """As YAML."""
    import yaml

    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
