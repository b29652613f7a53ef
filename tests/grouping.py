"""Which tests stay together where several workers run them, and what ends with its last use."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pytest

SHARED = (
    "kafka3",
    "other_kafka",
    "secured_kafka",
    "rabbit",
    "mended_kafka3",
    "mended_kafka",
    "eager_kafka",
    "rabbit3",
)
"""Fixtures that take long to make: all tests that ask for one go to one worker, which makes it."""
BROKERS = 2
"""How many workers have a `kafka` of their own, beside those on the default port: one costs as much while it
stands idle as a few tests."""
DEFAULT_PORT = ("test_docs", "test_examples", "test_new_sink", "test_upgrade")
"""Modules whose jobs serve `/metrics` where they do by default: one after the other."""


def part(items: list[pytest.Item]) -> None:
    """Sort tests, those of no group last, and mark each with its group, for pytest-xdist.

    A module of integration or crash tests stays together for its fixtures' sake, and so do unit tests
    that share a fixture of their module; any other unit test goes where there is time.
    """
    items.sort(key=lambda item: "unit" in item.path.parts)
    with_broker = sorted({item.path.stem for item in items if "kafka" in _fixtures_of(item)})
    for item in items:
        group = _group(item, with_broker)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))


class LastUses:
    """What shared fixtures made ends with the last test that asks for it, and not with all tests.

    A fixture that several groups ask for, each in the worker that has it, ends with a group's last test:
    it has to begin again where that worker has another of them.
    """

    def __init__(self) -> None:
        self._by_group = False
        self._left: Counter[tuple[str, str]] = Counter()
        self._ends: dict[str, Callable[[], None]] = {}

    def count(self, items: Iterable[pytest.Item], *, by_group: bool) -> None:
        """These tests are to be run; `by_group`: a worker has some groups of them, one after the other."""
        self._by_group = by_group
        self._left.update(use for item in items for use in self._counted(item))

    def end_after(self, fixture: pytest.FixtureRequest, end: Callable[[], None]) -> None:
        """Have what a fixture made ended so."""
        self._ends[_use(str(fixture.fixturename), getattr(fixture, "param", ""))] = end

    def ran(self, item: pytest.Item) -> None:
        """A test has been run."""
        for counted in self._counted(item):
            self._left[counted] -= 1
            if not self._left[counted] and counted[0] in self._ends:
                self._ends[counted[0]]()

    def _counted(self, item: pytest.Item) -> list[tuple[str, str]]:
        group = item.get_closest_marker("xdist_group") if self._by_group else None
        name = str(group.args[0]) if group else ""
        return [(use, name if use == "kafka" else "") for use in _uses(item)]


def _uses(item: pytest.Item) -> list[str]:
    made_of = getattr(item, "callspec", None)
    given = made_of.params if made_of else {}
    return [_use(name, given.get(name, "")) for name in _fixtures_of(item)]


def _use(name: str, parameter: object) -> str:
    return f"{name} {parameter}".strip()


def _fixtures_of(item: pytest.Item) -> Sequence[str]:
    """The names of the fixtures that a test asks for."""
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return names


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Whether it asks for what is made once for its module, and would be made in every worker."""
    info = getattr(item, "_fixtureinfo", None)
    made = info.name2fixturedefs.values() if info else ()
    return any(found[-1].scope == "module" for found in made if found)


def _group(item: pytest.Item, with_broker: Sequence[str]) -> str | None:
    for use in _uses(item):
        if use.partition(" ")[0] in SHARED:
            return use
    if "unit" in item.path.parts:
        return item.nodeid.partition("::")[0] if _shares_a_fixture(item) else None
    module = item.path.stem
    if module in DEFAULT_PORT:
        return "default port"
    if module in with_broker:
        return f"kafka {with_broker.index(module) % BROKERS}"
    return module
