"""Attacks mqpipe for some minutes: `python -m tests.attack [--minutes 10] [--seed S] [KIND …]`.

Configurations, state, streams, clocks, names, pages, batches, files, answers and scrapes that nobody means, each
made of the seed and its number. What is found (a traceback, a hang, lost or doubled samples, a file outside its place) is
reported with how to repeat it, and makes the exit code 1. Everything happens in temporary folders
and on loopback.
"""

import argparse
import logging
import random
import secrets
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable

from tests.attack import (
    answers,
    batches,
    clocks,
    configs,
    files,
    names,
    pages,
    scrapes,
    state,
    streams,
)
from tests.attack.place import Found, Place, place

Attack = Callable[[random.Random, Place], str]

ATTACKS: dict[str, tuple[Attack, int]] = {
    "configs": (configs.attack, 60),
    "names": (names.attack, 1),
    "state": (state.attack, 2),
    "streams": (streams.attack, 1),
    "clocks": (clocks.attack, 1),
    "pages": (pages.attack, 2),
    "batches": (batches.attack, 2),
    "files": (files.attack, 4),
    "answers": (answers.attack, 1),
    "scrapes": (scrapes.attack, 1),
}
"""Each, and how often it comes in a round."""


def main() -> int:
    """Attack until the time is over; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(ATTACKS))
    parser.add_argument("--minutes", type=float, default=10.0, help="how long")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random")
    parser.add_argument("--at", type=int, default=None, help="only the attack of this number")
    options = parser.parse_args()
    if strange := set(options.kinds) - ATTACKS.keys():
        parser.error(f"no such kind: {', '.join(sorted(strange))}; there are {', '.join(ATTACKS)}")
    logging.disable()  # of what is attacked in this process
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    kinds = options.kinds or list(ATTACKS)
    done, findings = _attack(kinds, seed, options.at, time.monotonic() + 60 * options.minutes)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(done.items()))
    print(f"seed {seed}: {counts or 'nothing'}; {findings} findings")
    return 1 if findings else 0


def _attack(kinds: list[str], seed: int, only: int | None, end: float) -> tuple[Counter[str], int]:
    done: Counter[str] = Counter()
    findings = number = 0
    while time.monotonic() < end:
        for kind in kinds:
            attack, times = ATTACKS[kind]
            for _ in range(times):
                number += 1
                if only is not None and number != only:
                    continue
                reported = _one(attack, random.Random(f"{seed}/{number}"))
                done[kind] += 1
                if reported is not None:
                    findings += 1
                    again = f"python -m tests.attack --seed {seed} --at {number} {' '.join(kinds)}"
                    print(f"FOUND by {kind}: {reported}\n  again: {again}\n", flush=True)
                if only is not None:
                    return done, findings
                if time.monotonic() > end:
                    return done, findings
    return done, findings


def _one(attack: Attack, chance: random.Random) -> str | None:
    """What an attack found; whatever it was not made to raise is a finding too."""
    with place() as here:
        try:
            attack(chance, here)
        except Found as found:
            return str(found)[-6000:]
        except Exception:
            config = here.work / "c.yaml"
            text = config.read_text(errors="replace")[:1500] if config.exists() else ""
            return f"{traceback.format_exc()[-4000:]}\n{text}"
    return None


if __name__ == "__main__":
    sys.exit(main())
