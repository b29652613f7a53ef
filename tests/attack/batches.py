"""Batches as spools, dead letters and Kafka hold them, damaged: refused, and never a crash."""

import random

from operators.schema.ipc import BatchDecodeError, decode, encode
from tests.attack import hostile
from tests.attack.place import Place, within
from tests.samples import numbered

GOOD = encode(numbered(range(50)))


def attack(chance: random.Random, place: Place) -> str:
    """Many of them, for each takes no time."""
    for _ in range(200):
        data = hostile.damage(GOOD, chance)
        with within(10, "decoding a batch"):
            try:
                decode(data)
            except BatchDecodeError:
                continue
    return "200 batches"
