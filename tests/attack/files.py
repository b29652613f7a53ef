"""Samples and alerts that others wrote: read, or refused in words."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
from polars import selectors

from tests.attack import hostile
from tests.attack.place import Found, Place, place, written

_TIMES = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T02:00:00Z")
_FLEETS = {
    "interval": "60s",
    "simulation": {
        "seed": 1,
        "fleets": [{"name": "a", "brokers": 2, "topics": 2, "groups": 1}],
        "anomalies": [{"kind": "broker_down", "rate": 6.0}],
    },
}
_COMMANDS = [
    ("score", "ALERTS", "--against", "samples"),
    ("score", "ALERTS", "--against", "samples", "--out", "s.html"),
    ("report", "samples", "--out", "r.html"),
    ("tail", "samples", "--no-follow", "--json"),
    ("export", "c.yaml", *_TIMES, "--out", "tsb", "--format", "tsb-ad"),
    ("export", "c.yaml", *_TIMES, "--out", "nab", "--format", "nab"),
    ("init", "CONFIG"),
]


def attack(chance: random.Random, place: Place) -> str:
    """Rewrite or damage some of an export's files, and hand them to what reads them."""
    place.write("c.yaml", written(_FLEETS))
    changed = []
    for name, data in _exported().items():
        file = place.work / "samples" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        if chance.random() < 0.3:
            changed.append(f"{name} {_change(file, chance)}")
    alerts = place.write(chance.choice(["a.csv", "a.json", "a.txt", "a.parquet"]), b"")
    alerts.write_bytes(_alerts(chance))
    for arguments in chance.sample(_COMMANDS, 2):
        new = _file_name(chance)
        given = [{"ALERTS": alerts.name, "CONFIG": new}.get(a, a) for a in arguments]
        if any("\0" in word for word in given):
            continue
        try:
            code = place.run(*given)
        except Found as found:
            raise Found(f"{given} of {changed}: {found}") from found
        if not changed and code and arguments[0] in ("report", "tail", "export"):
            raise Found(f"{given} ends with {code}: {place.said()}")
        place.forget_what_was_said()
    place.look_outside()
    return "; ".join(changed) or "only alerts"


@cache
def _exported() -> dict[str, bytes]:
    """What an export wrote, by its path."""
    with place() as here:
        here.write("c.yaml", written(_FLEETS))
        if here.run("export", "c.yaml", *_TIMES, "--out", "samples") != 0:
            raise Found(f"an export fails: {here.said()}")
        folder = here.work / "samples"
        return {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }


def _change(file: Path, chance: random.Random) -> str:
    if file.suffix != ".parquet" or chance.random() < 0.2:
        file.write_bytes(hostile.damage(file.read_bytes(), chance))
        return "damaged"
    frame = pl.read_parquet(file, hive_partitioning=False)
    how = chance.choice(
        ["units", "strings", "dropped", "renamed", "null", "empty", "other", "twice"]
    )
    column = chance.choice(frame.columns)
    match how:
        case "units":
            unit: Literal["us", "ns"] = chance.choice(["us", "ns"])
            frame = frame.with_columns(selectors.datetime().dt.cast_time_unit(unit))
        case "strings":
            frame = frame.with_columns(
                (selectors.by_name(column) & ~selectors.nested()).cast(pl.String)
            )
        case "dropped":
            frame = frame.drop(column)
        case "renamed":
            frame = frame.rename({column: chance.choice(["x", "Timestamp", "é", ""])})
        case "null":
            frame = frame.with_columns(pl.lit(None, dtype=frame.schema[column]).alias(column))
        case "empty":
            frame = frame.clear()
        case "other":
            frame = frame.with_columns(pl.lit(chance.choice(_LITERALS)).alias(column))
        case _:
            frame = pl.concat([frame, frame])
    frame.write_parquet(file, compression=chance.choice(["zstd", "snappy", "uncompressed"]))
    return f"{how} {column}"


_LITERALS: list[Any] = ["x", -1, 1e308, float("nan"), float("inf"), True, 2**62]


def _alerts(chance: random.Random) -> bytes:
    """CSV or JSON of what may be alerts."""

    def cell() -> Any:
        if chance.random() < 0.5:
            return hostile.value(chance)
        return chance.choice(["2026-01-01T00:31:00Z", "a", "a/broker-1", 1767227460, 1767227460000])

    names = ["entity", "time", "start", "end", "value", "score", "timestamp", "x", "kind"]
    header = chance.sample(names, chance.randrange(1, 5))
    rows = [[cell() for _ in header] for _ in range(chance.choice([0, 1, 5, 40]))]
    if chance.random() < 0.5:
        separator = chance.choice([",", ";", "\t", "|"])
        lines = [separator.join(map(_short, row)) for row in [header, *rows]]
        text = chance.choice(["\n", "\r\n"]).join(lines)
        data = text.encode("utf-8", chance.choice(["replace", "surrogatepass"]))
    else:
        made = [dict(zip(header, row, strict=True)) for row in rows]
        document = chance.choice([made, {"alerts": made}, {"a": made}, hostile.value(chance)])
        data = json.dumps(document, default=str).encode()
    return hostile.damage(data, chance) if chance.random() < 0.2 else data


def _short(cell: Any) -> str:
    return repr(cell) if isinstance(cell, int) and abs(cell) > 10**40 else str(cell)


def _file_name(chance: random.Random) -> str:
    """A name below the folder that is no option."""
    name = hostile.name(chance).replace("/", "_").encode("utf-8", "replace").decode()
    return f"./{name}"
