"""What is said of a name that leads nowhere."""

from collections.abc import Collection, Iterable
from itertools import islice

_SHOWN = 10
"""Names that a suggestion lists."""
_COMPARED = 1_000
"""Names that are put in the order of their nearness; of more that would take seconds."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The right name that was most likely meant; None where none is near."""
    from difflib import get_close_matches  # which a start without a mistake has no use for

    return next(iter(get_close_matches(name, known, 1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The question whether the nearest right name was meant; None where none is near."""
    near = nearest(name, known)
    return None if near is None else f"did you mean `{near}`?"


def suggestion(name: str, known: Collection[str]) -> str:
    """The nearest right name, or some of those that there are, nearest first."""
    question = did_you_mean(name, known)
    if question is not None:
        return question
    if len(known) <= _COMPARED:
        known = _by_likeness(name, known)
    more = ", …" if len(known) > _SHOWN else ""
    return f"there are {', '.join(islice(known, _SHOWN)) or 'none'}{more}"


def _by_likeness(name: str, known: Iterable[str]) -> list[str]:
    from difflib import SequenceMatcher

    like = SequenceMatcher(None, "", name)

    def unlike(other: str) -> tuple[float, str]:
        like.set_seq1(other)
        return -like.ratio(), other

    return sorted(known, key=unlike)
