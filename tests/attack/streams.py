"""Signals, with standard streams that are full, closed, or read by nobody."""

import os
import random
import signal
import subprocess
import time
from typing import Any

from tests.attack.jobs import INTERVAL, job
from tests.attack.place import LONGEST, Found, Place


def attack(chance: random.Random, place: Place) -> str:
    """A job whose standard error or output fails drains as any other, and loses nothing."""
    job(place)
    how = chance.choice(["full", "nobody reads", "reader dies", "closed", "held"])
    stream = chance.choice(["stderr", "stderr", "stdout"])
    command = ("run", "c.yaml", "--no-live")
    opened: dict[str, Any] = {}
    reading = writing = None
    if how == "full":
        opened[stream] = os.open("/dev/full", os.O_WRONLY)
    elif how == "closed":
        # A shell is what closes a descriptor before a program starts.
        number = {"stdout": 1, "stderr": 2}[stream]
        opened["preexec_fn"] = lambda: os.close(number)
    else:
        reading, writing = os.pipe()
        if how == "held":
            os.set_blocking(writing, False)
            _fill(writing)
            os.set_blocking(writing, True)
        opened[stream] = writing
    process = place.start(*command, **opened)
    if writing is not None:
        os.close(writing)
    if how == "reader dies" and reading is not None:
        os.close(reading)
        reading = None
    what = f"{stream} {how}"
    try:
        place.expect(
            lambda: list(place.work.glob("samples/type=*/*/*.parquet")), "published nothing in 40 s"
        )
        time.sleep(chance.random() * 2)
        _end(chance, place, process)
    except Found as found:
        process.kill()
        process.wait()
        raise Found(f"{what}: {found}; {place.said()}") from found
    finally:
        if reading is not None:
            os.close(reading)
    place.no_tick_is_missing(INTERVAL)
    place.look_outside()
    return what


def _end(chance: random.Random, place: Place, process: subprocess.Popen[bytes]) -> None:
    number = chance.choice([signal.SIGTERM, signal.SIGINT, signal.SIGTERM])
    process.send_signal(number)
    if chance.random() < 0.2:
        time.sleep(chance.random())
        process.send_signal(number)
        place.ended(process, "run, asked twice", LONGEST)
        return
    code = place.ended(process, "run, asked to end", LONGEST)
    if code != 0:
        raise Found(f"a drain ended with {code}")


def _fill(descriptor: int) -> None:
    try:
        while True:
            os.write(descriptor, b"x" * 4096)
    except BlockingIOError:
        return
