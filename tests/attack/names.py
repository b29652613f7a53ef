"""Clusters, topics and groups of any name: all that is made of them lies below its folder."""

import random

from tests.attack import hostile
from tests.attack.place import Found, Place, written

ALERTS = "entity,time\nx,2026-01-01T00:10:00Z\n"


def attack(chance: random.Random, place: Place) -> str:
    """An export, a report and a score of a fleet with such names."""
    topics = [hostile.name(chance) for _ in range(chance.choice([1, 3]))]
    fleet = {
        "name": hostile.name(chance),
        "environment": hostile.name(chance),
        "clusters": chance.choice([1, 1, 12]),
        "brokers": 1,
        "topics": [{"name": topic} for topic in topics],
        "groups": [{"name": hostile.name(chance), "topics": topics[:1]}],
    }
    text = written({"interval": "60s", "simulation": {"seed": 1, "fleets": [fleet]}})
    place.write("c.yaml", text)
    place.write("alerts.csv", ALERTS)
    times = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:20:00Z")
    code = place.run("check", "c.yaml")
    exported = place.run("export", "c.yaml", *times, "--out", "samples")
    if code != exported:
        raise Found(f"check ends with {code}, an export with {exported}: {place.said()}")
    if code == 0:
        place.no_tick_is_missing(60_000)
        for arguments in (
            ("report", "samples", "--out", "r.html"),
            ("score", "alerts.csv", "--against", "samples"),
        ):
            if place.run(*arguments) != 0:
                raise Found(f"mqpipe {arguments[0]} fails: {place.said()}")
    place.look_outside()
    return text
