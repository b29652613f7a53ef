"""Streams for people: whoever writes to one neither waits nor fails."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.standard_streams import PeopleStream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_what_is_written_arrives_in_order(pipe: tuple[int, int]) -> None:
    """In the order of the writing, whatever the characters."""
    stream = PeopleStream(pipe[1])
    stream.write("one\n")
    print("zwei ü \udcff", file=stream)
    assert stream.drain(10)
    assert os.read(pipe[0], 100) == "one\nzwei ü \\udcff\n".encode()
    assert stream.take_lost() == 0


@pytest.mark.timeout(10)
def test_a_reader_that_does_not_read_is_not_waited_for(pipe: tuple[int, int]) -> None:
    """What there is no room for is lost and counted; what waits arrives when it reads again."""
    stream = PeopleStream(pipe[1], room=100_000)
    for _ in range(10_000):
        stream.write("x" * 99 + "\n")
    assert not stream.drain(0.05)
    lost = stream.take_lost()
    assert lost > 5_000
    os.set_blocking(pipe[0], False)
    came = 0
    while came < (10_000 - lost) * 100:
        try:
            came += len(os.read(pipe[0], 65_536))
        except BlockingIOError:
            stream.drain(0.01)
    assert stream.drain(10)
    assert came == (10_000 - lost) * 100


def test_a_reader_that_died_fails_nobody(pipe: tuple[int, int]) -> None:
    """Each line that it did not take is counted."""
    os.close(pipe[0])
    stream = PeopleStream(pipe[1])
    for _ in range(3):
        stream.write("gone\n")
    assert stream.drain(10)
    assert stream.take_lost() == 3


def test_a_descriptor_that_must_not_be_waited_for_is(pipe: tuple[int, int]) -> None:
    """Some parents set theirs so; no line is torn by it."""
    os.set_blocking(pipe[1], False)
    stream = PeopleStream(pipe[1])
    text = "y" * 300_000 + "\n"
    stream.write(text)
    came = b""
    while len(came) < len(text):
        came += os.read(pipe[0], 65_536)
    assert came == text.encode()


CLOSED = """
import os, sys
from flows import standard_streams
os.close(0); os.close(2)
standard_streams.prepare()
print("to nowhere", file=sys.stderr)
print(os.open(sys.argv[1], os.O_RDONLY) > 2)
"""


def test_a_closed_standard_stream_is_nobodys_file() -> None:
    """The next file that is opened does not get its number."""
    ran = subprocess.run(
        [sys.executable, "-c", CLOSED, __file__],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert (ran.stdout, ran.stderr) == ("True\n", "")
