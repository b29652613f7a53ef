"""What tests share ends with its last use: of a group, where several workers have groups."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.grouping import LastUses

BROKER = cast("pytest.FixtureRequest", SimpleNamespace(fixturename="kafka"))


def item_of(group: str, *fixtures: str) -> Any:
    """A test as pytest has it, that asks for fixtures."""
    return SimpleNamespace(
        fixturenames=fixtures,
        get_closest_marker=lambda _: pytest.mark.xdist_group(group).mark,
    )


@pytest.mark.parametrize(
    ("by_group", "ends"),
    [(True, [0, 1, 1, 2]), (False, [0, 0, 0, 1])],
    ids=["one of some workers", "alone"],
)
def test_a_broker_ends_with_the_last_test_of_its_group(by_group: bool, ends: list[int]) -> None:
    """The tests of another group may never come to this worker."""
    items = [item_of(group, "kafka") for group in ("kafka 0", "kafka 0", "kafka 1", "kafka 1")]
    items.insert(2, item_of("kafka 1", "tmp_path"))
    uses = LastUses()
    uses.count(items, by_group=by_group)
    ended: list[int] = []
    uses.end_after(BROKER, lambda: ended.append(1))
    seen = []
    for item in items:
        uses.ran(item)
        if "kafka" in item.fixturenames:
            seen.append(len(ended))
    assert seen == ends
