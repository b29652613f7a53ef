"""The attacks of `python -m tests.attack`: they find what they are after, and repeat by their seed."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.attack import batches, configs, hostile
from tests.attack.place import Found, Place, place, within
from tests.samples import NEW_YEAR, tick


def said(here: Place, text: str, code: int = 1) -> None:
    (here.root / "err").write_text(text)
    here.look_at_what_was_said(code)


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("Traceback (most recent call last):\n", 1, "a traceback"),
        ("a \x1b[31mred\x1b[0m word\n", 0, "control character"),
        ("thread '<unnamed>' panicked at src/x.rs\n", 1, "a traceback"),
        ("", 1, "without a word"),
        ("ended\n", -6, "exit code -6"),
    ],
)
def test_what_is_said_is_looked_at(text: str, code: int, found: str) -> None:
    """Tracebacks, escapes, panics, silence and crashes are findings."""
    with place() as here, pytest.raises(Found, match=found):
        said(here, text, code)
    with place() as here:
        said(here, "mqpipe: c.yaml: cannot be read; name another\n")


def test_lost_and_doubled_samples_are_found() -> None:
    """By their keys."""
    with place() as here:
        folder = here.work / "samples" / "type=broker" / "date=2026-01-01"
        folder.mkdir(parents=True)
        for number in (0, 1, 2):
            batch = tick(NEW_YEAR + number * 1000, 3, cluster="a")
            pq.write_table(pa.Table.from_batches([batch]), folder / f"{number}.parquet")
        here.no_tick_is_missing(1000)
        (folder / "1.parquet").rename(here.work / "1.parquet")
        with pytest.raises(Found, match="samples are missing"):
            here.no_tick_is_missing(1000)
        for name in ("1.parquet", "3.parquet"):
            (folder / name).write_bytes((here.work / "1.parquet").read_bytes())
        with pytest.raises(Found, match="samples are there twice"):
            here.no_tick_is_missing(1000)


def test_a_file_outside_its_place_is_found() -> None:
    """Beside the folder that mqpipe was started in, or in its home."""
    for name in ("stray", "home/x", "tmp/x"):
        with place() as here:
            here.look_outside()
            (here.root / name).write_text("")
            with pytest.raises(Found, match="files outside their place"):
                here.look_outside()


def endless() -> None:
    with within(0.05, "a loop"):
        while True:
            pass


def test_what_takes_too_long_is_found() -> None:
    """With where it was."""
    with pytest.raises(Found, match=r"(?s)hangs: a loop took more than 0\.05 s.*in endless"):
        endless()


def test_a_seed_repeats_an_attack() -> None:
    """The same damage, names and configurations."""
    one, other = random.Random("7/3"), random.Random("7/3")
    assert [hostile.name(one) for _ in range(50)] == [hostile.name(other) for _ in range(50)]
    assert hostile.damage(b"x" * 99, one) == hostile.damage(b"x" * 99, other)
    texts = []
    for _ in range(2):
        with place() as here:
            texts.append(configs.attack(random.Random("7/4"), here))
    assert texts[0] == texts[1]


def test_some_configurations_and_batches_are_attacked() -> None:
    """A few of each, for the whole takes an hour."""
    for number in range(15):
        with place() as here:
            configs.attack(random.Random(f"1/{number}"), here)
            batches.attack(random.Random(f"1/{number}"), here)
