"""Clocks that are set, and processes that are suspended: only the ticks between are lost."""

import os
import random
import signal
import time
from pathlib import Path

from tests.attack.jobs import job
from tests.attack.place import Found, Place

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
STEPS = [3600, -3600, 300, -300, 5, -5, 86_400 * 30]


def attack(chance: random.Random, place: Place) -> str:
    """A step of the wall clock, or a suspension; ticks go on, none twice, and a drain is clean."""
    job(place)
    clock = place.root / "tmp" / "clock"
    env = {}
    steps = bool(LIBRARIES) and chance.random() < 0.7
    if steps:
        clock.write_text("+0\n")
        env = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    process = place.start("run", "c.yaml", "--no-live", env=env)
    what = "suspended"
    try:
        early = chance.random() < 0.3
        if not early:
            place.expect(lambda: _rows(place), "published nothing in 40 s")
        time.sleep(chance.random())
        if steps:
            step = chance.choice(STEPS)
            what = f"clock set by {step:+d} s"
            draft = clock.with_suffix(".new")
            draft.write_text(f"{step:+d}\n")
            draft.replace(clock)
        else:
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(chance.choice([0.5, 3, 8]))
            os.kill(process.pid, signal.SIGCONT)
        rows = _rows(place)
        place.expect(lambda: _rows(place) > rows, "nothing is published after it in 40 s")
        process.send_signal(signal.SIGTERM)
        code = place.ended(process, "run, asked to end", 40)
        place.expect(lambda: code == 0, f"the drain ended with {code}", 0)
    except Found as found:
        process.kill()
        process.wait()
        raise Found(f"{what}: {found}; {place.said()}") from found
    clock.unlink(missing_ok=True)
    place.look_at_what_was_said(code)
    place.keys()
    place.look_outside()
    return what


def _rows(place: Place) -> int:
    return sum(frame.height for frame in place.keys().values())
