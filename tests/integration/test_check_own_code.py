"""`mqpipe check` of what a configuration names of custom code."""

from pathlib import Path

import pytest

from tests.mqpipe import Ended, mqpipe

pytestmark = pytest.mark.timeout(120)

OWN = '''
import time

from operators.collect.samples import collected_batch


class Nothing:
    """Has none of the methods."""

    def __init__(self, *_, **__):
        pass


class Fails(Nothing):
    def step(self, block):
        raise RuntimeError("no luck")

    def state(self):
        return None

    def restore(self, state):
        pass


class Seven(Fails):
    def step(self, block):
        return 7


class Collects(Nothing):
    def collect(self, tick, time_left):
        return []
'''


def check(folder: Path, text: str, *more: str) -> Ended:
    (folder / "own.py").write_text(OWN)
    (folder / "c.yaml").write_text(text)
    return mqpipe(folder, "check", "c.yaml", *more, env={"PYTHONPATH": str(folder)})


def collectors(use: str) -> str:
    return f"mode: infrastructure\ncollectors: [{{name: mine, use: '{use}'}}]\n"


@pytest.mark.parametrize(
    ("use", "why"),
    [
        ("json:loads", "cannot be made: TypeError"),
        ("own:Nothing", "has no method `collect(tick, time_left)`"),
    ],
)
def test_a_collector_that_is_none_fails_the_check_that_asks_it(
    tmp_path: Path, use: str, why: str
) -> None:
    """`--connect` asks each custom collector once, as a tick would."""
    ended = check(tmp_path, collectors(use), "--connect")
    assert ended.code == 1
    assert "failed: collector mine: cannot be asked" in ended.out
    assert why in ended.out
    assert "Traceback" not in ended.out + ended.err


def test_a_collector_that_answers_passes(tmp_path: Path) -> None:
    """With what it gave."""
    ended = check(tmp_path, collectors("own:Collects"), "--connect")
    assert ended.code == 0, ended.out
    assert "ok: collector mine: nothing" in ended.out


@pytest.mark.parametrize(
    ("use", "why"),
    [
        ("builtins:print", "what it makes has no method `step`, `state`, `restore`"),
        ("own:Fails", "RuntimeError: no luck"),
        ("own:Seven", "gave a int in place of a list of RecordBatches"),
    ],
)
def test_a_generator_that_is_none_is_reported(tmp_path: Path, use: str, why: str) -> None:
    """In a line that names it and its cluster, not by a traceback."""
    text = f"simulation: {{fleets: [{{name: a, generator: {{use: '{use}'}}}}]}}\n"
    ended = check(tmp_path, text)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith(f"mqpipe: generator `{use}` of cluster `a`: ")
    assert why in ended.err
    assert "Traceback" not in ended.err
