"""Reaching what a configuration names, as `check --connect` does."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.config import Config
from flows.reach import Finding, reach
from sinks.sink import Sink
from tests.ports import PortClaim
from tests.samples import numbered


class Jobs:
    """A custom collector: gives two samples, or does what it is told."""

    def __init__(self, _settings: object, mood: str = "well") -> None:
        self._mood = mood

    def collect(self, tick: int, time_left: float) -> Sequence[pa.RecordBatch]:
        if self._mood == "broken":
            raise RuntimeError("no table of jobs")
        return [numbered([1, 2], cluster="jobs", start=tick)] if time_left > 0 else []


def config(tmp_path: Path, **more: Any) -> Config:
    """What is collected, with state there."""
    return Config.model_validate(
        {"mode": "infrastructure", "recovery": {"path": str(tmp_path)}, **more}
    )


def jobs(tmp_path: Path, mood: str) -> Config:
    """One custom collector in such a mood."""
    collector = {"name": "jobs", "use": f"{__name__}:Jobs", "options": {"mood": mood}}
    return config(tmp_path, collectors=[collector])


def found(settings: Config, *sinks: Sink) -> list[Finding]:
    """What is found."""
    return asyncio.run(reach(settings, sinks))


def sink(name: str, probed: str | Exception) -> Sink:
    """One whose probe says so."""

    def probe(_: object) -> str:
        if isinstance(probed, Exception):
            raise probed
        return probed

    never: Any = None
    return Sink(name, "there", never, probe)


def test_a_custom_collector_is_asked_once(tmp_path: Path) -> None:
    """What it gives is counted as a tick's."""
    [finding] = found(jobs(tmp_path, "well"))
    assert finding.what == "collector jobs"
    assert finding.problems == ()
    assert finding.found == "2 entities (2 broker)"


def test_what_it_raises_is_a_problem_by_its_name(tmp_path: Path) -> None:
    """A tick would fail of it."""
    [finding] = found(jobs(tmp_path, "broken"))
    assert finding.found == "cannot be asked"
    assert "no table of jobs" in finding.problems[0]


def test_a_cluster_that_refuses_names_all_kinds_once(tmp_path: Path) -> None:
    """They fail for one cause: the line has them before it."""
    with PortClaim() as claim:
        cluster = {"name": "prod", "bootstrap_servers": f"127.0.0.1:{claim.port}"}
        [finding] = found(config(tmp_path, clusters=[cluster]))
    assert finding.what == "cluster prod"
    [problem] = finding.problems
    assert problem.startswith("brokers, topics, groups: ")


@pytest.mark.parametrize("error", [OSError("refused\nat 10.0.0.1"), ValueError("no key")])
def test_sinks_are_probed_and_each_cause_is_a_line(tmp_path: Path, error: Exception) -> None:
    """One that cannot be reached does not hide the others."""
    settings = jobs(tmp_path, "well").model_copy(update={"collectors": ()})
    well, bad = found(settings, sink("parquet", "can be written"), sink("otlp", error))
    assert (well.what, well.found, well.problems) == ("sink parquet", "can be written", ())
    assert (bad.found, bad.problems) == ("cannot be reached", tuple(str(error).splitlines()))
