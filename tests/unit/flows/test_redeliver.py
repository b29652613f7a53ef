"""What `mqpipe redeliver` prints of what it sent, and how it ends."""

from pathlib import Path
from typing import Any

import pytest

import flows.redeliver
from flows.config import Config
from flows.errors import CommandError, UsageError
from flows.redeliver import redeliver
from sinks.job import JobContext
from sinks.redeliver import Redelivery
from sinks.sink import Sink
from sinks.spool.errors import SpoolInUseError


def config(state: Path) -> Config:
    """A simulation whose state lies there."""
    fleets = [{"name": "sim", "brokers": 1, "topics": 1, "groups": 0}]
    return Config.model_validate(
        {"simulation": {"fleets": fleets}, "recovery": {"path": str(state)}}
    )


def sends(monkeypatch: pytest.MonkeyPatch, *outcomes: Redelivery | Exception) -> list[JobContext]:
    """Has the configuration a sink for each of these, which is what its redelivery comes to."""
    given: list[JobContext] = []

    def sink(number: int, outcome: Redelivery | Exception) -> Sink:
        def again(job: JobContext) -> Redelivery:
            given.append(job)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        never: Any = None
        return Sink(f"sink-{number}", "there", never, never, redeliver=again)

    sinks = [sink(number, outcome) for number, outcome in enumerate(outcomes)]
    monkeypatch.setattr(flows.redeliver, "sinks_of", lambda _: sinks)
    return given


ALL = Redelivery({"": 1200}, {}, 0, None)


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (ALL, 0, "1,200 samples delivered, 0 stay dead letters, 0 bytes wait in the spool"),
        (Redelivery({"": 1}, {"": 2}, 0, None), 1, "1 samples delivered, 2 stay dead letters"),
        (Redelivery({}, {}, 5000, "refused"), 1, "5,000 bytes wait in the spool"),
        (
            Redelivery({"events": 7}, {"metrics": 1, "": 2}, 0, None),
            1,
            "7 (events) and 0 (metrics) samples delivered, "
            "0 (events) and 1 (metrics) and 2 (no route) stay dead letters",
        ),
    ],
)
def test_each_sink_has_a_line_and_what_is_left_ends_it_with_1(
    outcome: Redelivery,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of a sink with several routes each is counted: not all of them take each sample."""
    given = sends(monkeypatch, ALL, outcome)
    assert redeliver(config(tmp_path)) == code
    out, err = capsys.readouterr()
    assert said in out.splitlines()[1]
    assert err == (f"mqpipe: sink-1: {outcome.problem}\n" if outcome.problem else "")
    # Nobody waits for hours here as a run does.
    assert all(job.patience.attempts == 5 for job in given)


def test_without_a_sink_that_spools_there_is_nothing_to_send(tmp_path: Path) -> None:
    """That is said, and no state is made."""
    with pytest.raises(UsageError, match="no sink that spools"):
        redeliver(config(tmp_path / "state"))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("error", "kind"),
    [(SpoolInUseError(Path("spool")), CommandError), (ValueError("no key"), UsageError)],
)
def test_what_is_in_the_way_is_said(
    error: Exception, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spool that another job delivers, and settings that cannot be used."""
    sends(monkeypatch, error)
    with pytest.raises(kind, match=r"another mqpipe delivers this spool|no key"):
        redeliver(config(tmp_path))
