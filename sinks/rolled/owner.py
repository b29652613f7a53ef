"""Who wrote the rows that wait: the build, its step, and the recovery store that has the positions.

A partition that starts without a stored position was either never stored, and its rows come again;
or its position is lost, and they do not. Only who wrote them tells one from the other.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sinks.disk import replace_private

_FILE = "owner.json"


class ForeignRowsError(OSError):
    """Rows wait whose position is stored under the name of another step."""

    def __init__(self, directory: Path, owner: "Owner", step: str) -> None:
        super().__init__(str(directory))
        self._words = (
            f"{directory}: the rows that wait here are of step {owner.step} of mqpipe "
            f"{owner.build}, and this one calls it {step}: it cannot tell which of them come again; "
            "end the job once with that one, which publishes them, or set another recovery.path"
        )

    def __str__(self) -> str:
        return self._words


@dataclass(frozen=True, slots=True)
class Owner:
    """A build of mqpipe, its step, and its recovery store's identity."""

    build: str
    step: str
    store: str
    first: int = 0
    """The segment with which it began: what was published before is of another store."""


def owner_of(directory: Path) -> Owner | None:
    """Who wrote the rows in a directory; None where nobody did, or an earlier build.

    Raises:
        OSError: it is not known.
    """
    file = directory / _FILE
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        document = None
    match document:
        case {"build": str(build), "step": str(step), "store": str(store), "first": int(first)}:
            return Owner(build, step, store, first)
    raise OSError(
        f"{file}: damaged; restore it from a copy, or remove it where neither mqpipe nor the "
        "recovery store was replaced since"
    )


def own(directory: Path, owner: Owner) -> None:
    """Note that the rows in a directory are this one's from now on."""
    replace_private(directory / _FILE, json.dumps(asdict(owner)))
