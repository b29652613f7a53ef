"""A small job that many attacks are about."""

from tests.attack.place import Place, written

INTERVAL = 200
"""Milliseconds between two ticks."""


def job(place: Place, **more: object) -> str:
    """Write the job's configuration; its New Relic is away, so samples wait in the spool."""
    values = {
        "interval": f"{INTERVAL}ms",
        "account_id": 7,
        "simulation": {
            "seed": 1,
            "fleets": [{"name": "a", "brokers": 1, "topics": 2, "groups": 1}],
        },
        "sinks": {
            "parquet": {"path": "samples", "roll": {"every": "1s"}},
            "newrelic": {"license_key": "0123456789", "endpoint": "http://127.0.0.1:1"},
        },
        "shutdown": {"grace": "10s"},
        "recovery": {"path": "state", "epoch": "300ms"},
        "metrics": {"listen": None},
        **more,
    }
    text = written(values)
    place.write("c.yaml", text)
    return text
