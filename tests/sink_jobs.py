"""The job that sinks are opened for in tests."""

from pathlib import Path
from typing import Any

from sinks.dead_letters import DeadLetters
from sinks.job import JobContext
from sinks.settings import DeadLetterSettings


def job_in(directory: Path, **more: Any) -> JobContext:
    """A job whose state and dead letters lie in a directory; more as `JobContext` has it."""
    letters = DeadLetters(DeadLetterSettings(path=directory / "dead"))
    return JobContext(**{"run": "run", "state": directory, "letters": letters, **more})
