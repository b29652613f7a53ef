"""State that is damaged: a job goes on, or says what is wrong with which file."""

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from tests.attack import hostile
from tests.attack.jobs import INTERVAL, job
from tests.attack.place import Found, Place, wait_until

STRAY = [
    "lock-abc",
    "abc.log",
    "x.log",
    "lock-999999999999999999999",
    ".x",
    "note.txt",
    "0.log.bak",
]
COMMANDS = [
    ("run", "c.yaml", "--no-live", "--for", "1s"),
    ("redeliver", "c.yaml"),
]


def attack(chance: random.Random, place: Place) -> str:
    """Run, end in some way, damage a file or put one there, and go on."""
    job(place)
    process = place.start("run", "c.yaml", "--no-live")
    published = wait_until(lambda: list(place.work.glob("samples/type=*/*/*.parquet")), 40)
    time.sleep(chance.random())
    process.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
    place.ended(process, "run", 40)
    if not published:
        raise Found(f"published nothing in 40 s: {place.said()}")
    place.forget_what_was_said()
    before = {label: frame.height for label, frame in place.keys().items()}
    files = sorted(p for p in (place.work / "state").rglob("*") if p.is_file() and _harm_shows(p))
    stray = chance.random() < 0.3
    if stray:
        folder = chance.choice(sorted({file.parent for file in files}))
        harmed = folder / chance.choice(STRAY)
        what = f"{harmed.relative_to(place.work)} put there"
        if not harmed.exists():
            harmed.write_bytes(chance.choice([b"", b"x", chance.randbytes(100)]))
    else:
        harmed = chance.choice(files)
        what = f"{harmed.relative_to(place.work)} {_harm(harmed, chance)}"
    try:
        _go_on(chance, place, harmed, stray, before)
    except Found as found:
        raise Found(f"{what}: {found}") from found
    return what


def _go_on(
    chance: random.Random, place: Place, harmed: Path, stray: bool, before: dict[str, int]
) -> None:
    for arguments in (chance.choice(COMMANDS), COMMANDS[0]):
        code = place.run(*arguments)
        said = place.said()
        if stray and arguments[0] == "run" and code != 0:
            raise Found(f"a stray file ends the job with {code}: {said}")
        if code and arguments[0] == "run" and not _says_where(harmed, said):
            raise Found(f"the message does not say which file: {said}")
        place.forget_what_was_said()
    for label, rows in before.items():
        frame = place.keys().get(label)
        if frame is None or frame.height < rows:
            raise Found(f"published samples are gone: {label} had {rows}")
    if stray:
        place.no_tick_is_missing(INTERVAL)
    place.look_outside()


def _says_where(harmed: Path, said: str) -> bool:
    """Whether a message names the file, or the folder that it makes unusable."""
    return any(
        part in said for part in (harmed.name, harmed.parent.name, harmed.parent.parent.name)
    )


def _harm_shows(file: Path) -> bool:
    """Whether it can be known that it was harmed.

    A database without its `-wal`, or with one that ends early, is a whole one as it was before:
    docs/running.md says that these files are one.
    """
    return not file.name.endswith(("-wal", "-shm"))


def _harm(file: Path, chance: random.Random) -> str:
    how = chance.randrange(5)
    if how == 0:
        file.unlink()
        return "removed"
    if how == 1:
        file.unlink()
        file.mkdir()
        return "made a folder"
    if how == 2 and file.parent.name in ("recovery", "spool-0", "parquet"):
        shutil.rmtree(file.parent)
        return "removed with its folder"
    if how == 3 and file.suffix == ".json":
        document = _with_another(json.loads(file.read_bytes()), chance)
        file.write_text(json.dumps(document, default=str))
        return f"now {document!r}"[:300]
    file.write_bytes(hostile.damage(file.read_bytes(), chance))
    return "damaged"


def _with_another(document: Any, chance: random.Random) -> Any:
    """The document with another value somewhere, or another for the whole."""
    if not document or not isinstance(document, dict | list) or chance.random() < 0.2:
        return hostile.value(chance)
    changed = document.copy()
    where: Any = chance.choice([*document] if isinstance(document, dict) else range(len(document)))
    changed[where] = _with_another(document[where], chance)
    return changed
