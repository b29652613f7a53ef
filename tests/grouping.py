"""Which tests stay together where several workers run them, and what ends with the last of a group."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import pytest

SHARED = ("kafka3", "other_kafka", "secured_kafka", "rabbit", "mended_kafka3", "rabbit3")
"""Fixtures that take long to make: all tests that ask for one go to one worker, which makes it."""
BROKERS = 2
"""How many workers have a `kafka` of their own, beside those on the default port: one costs as much while it
stands idle as a few tests."""
DEFAULT_PORT = ("test_docs", "test_examples", "test_new_sink", "test_upgrade")
"""Modules whose jobs serve `/metrics` where they do by default: one after the other."""


class Groups:
    """The groups of the tests that are collected.

    A module of integration or crash tests stays together for its fixtures' sake; a unit test, which
    is in no group, goes where there is time.
    """

    def __init__(self) -> None:
        self._of: dict[pytest.Item, str] = {}
        self._left: Counter[str] = Counter()
        self._to_end: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)
        self._running = ""

    def part(self, items: list[pytest.Item]) -> None:
        """Sort tests, those of no group last, and mark each with its group, for pytest-xdist."""
        items.sort(key=lambda item: "unit" in item.path.parts)
        with_broker = sorted({item.path.stem for item in items if "kafka" in fixtures_of(item)})
        for item in items:
            group = _group(item, with_broker)
            if group is not None:
                item.add_marker(pytest.mark.xdist_group(group))
                self._of[item] = group
        self._left.update(self._of.values())

    def begin(self, item: pytest.Item) -> None:
        """A test begins."""
        self._running = self._of.get(item, "")

    def end_with_this_one(self, end: Callable[[], None]) -> None:
        """Have something ended with the last test of the group of the one that runs, if it is in one."""
        if self._running:
            self._to_end[self._running].append(end)

    def end(self, item: pytest.Item) -> None:
        """A test has ended."""
        if group := self._of.pop(item, ""):
            self._left[group] -= 1
            if not self._left[group]:
                for end in reversed(self._to_end.pop(group, [])):
                    end()


def fixtures_of(item: pytest.Item) -> Sequence[str]:
    """The names of the fixtures that a test asks for."""
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return names


def _group(item: pytest.Item, with_broker: Sequence[str]) -> str | None:
    for name in SHARED:
        if name in fixtures_of(item):
            made_of = getattr(item, "callspec", None)
            return f"{name} {made_of.params[name]}" if made_of and name in made_of.params else name
    if "unit" in item.path.parts:
        return None
    module = item.path.stem
    if module in DEFAULT_PORT:
        return "default port"
    if module in with_broker:
        return f"kafka {with_broker.index(module) % BROKERS}"
    return module
