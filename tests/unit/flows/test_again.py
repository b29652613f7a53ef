"""What one life of a process leaves to the next."""

import json
import os
import signal
import sys
import time
from typing import Any

import pytest

from flows.again import HEARD_SIGNALS, Handover, StartAgain, kept, seconds_left


def test_the_first_life_has_nothing_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """By that a command knows whether it goes on."""
    monkeypatch.delenv("MQPIPE_STARTED_AGAIN", raising=False)
    assert kept() is None


@pytest.mark.parametrize("stopping", [False, True])
def test_the_next_one_has_what_was_kept_and_the_same_arguments(
    stopping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a stop was asked for is looked at last; signals wait for who hears them."""
    begun: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: begun.append((program, arguments)))
    monkeypatch.setattr(sys, "orig_argv", ["python", "mqpipe", "run", "c.yaml"])
    monkeypatch.setenv("MQPIPE_STARTED_AGAIN", json.dumps({}))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    asked = [False]
    way_out = StartAgain(lambda: asked[0])
    way_out.kept = Handover(ends_at=12.5, state="/state")
    asked[0] = stopping
    try:
        _exec(way_out)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) >= set(HEARD_SIGNALS)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert begun == [(sys.executable, [sys.executable, "mqpipe", "run", "c.yaml"])]
    assert kept() == Handover(12.5, "/state", stopping)


def _exec(way_out: Any) -> None:
    way_out.exec()


def test_a_limited_run_ends_by_a_clock_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the wall clock is set to."""
    monkeypatch.setattr(time, "monotonic", lambda: 10.0)
    assert seconds_left(12.5) == 2.5
