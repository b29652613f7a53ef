"""The page that `mqpipe score --out` writes, and its pictures."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flows.drawing import library
from flows.errors import CommandError
from flows.score.command import ScoreOptions, score
from tests.hybrid_morning import SICK, hybrid, truth
from tests.samples import INTERVAL, NEW_YEAR
from tests.unit.flows.score.test_command import scores_of

ONSET = NEW_YEAR + SICK.start * INTERVAL

pytest.importorskip("vl_convert")


def pictures(page: str) -> dict[str, Any]:
    """The specifications of a page's plots, by name."""
    found = re.search(r'id="plots">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    specs: dict[str, Any] = json.loads(found.group(1))
    return specs


def rows_of(spec: dict[str, Any]) -> list[str]:
    """A plot's values, a line each."""
    lines: list[str] = spec["data"]["values"].splitlines()
    return lines[1:]


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hybrid morning's samples."""
    return str(truth(hybrid(tmp_path_factory.mktemp("morning"))))


def written(samples: str, path: Path, alerts: str) -> str:
    """The page of some alerts."""
    (path / "a.csv").write_text(alerts)
    options = ScoreOptions(out=path / "new" / "page.html")
    assert score(path / "a.csv", samples, options) == 0
    return (path / "new" / "page.html").read_text(encoding="utf-8")


def test_page_shows_what_was_found_and_what_was_false(morning: str, tmp_path: Path) -> None:
    """The anomaly's row with its first alert, the alert that nothing explains in a picture of its own."""
    alerts = f"entity,time\nsim-eu/broker-2,{ONSET + 60_000}\nprod-eu,{ONSET}\n"
    page = written(morning, tmp_path, alerts)
    specs = pictures(page)
    (sick,) = rows_of(specs["kind-broker_down"])
    assert ",found," in sick
    assert "60 s after the onset" in sick
    (false,) = rows_of(specs["false-alarms"])
    assert false.startswith("prod-eu,")
    assert "1 of 1 found" in page


def test_page_of_nothing_found_says_so(morning: str, tmp_path: Path) -> None:
    """The anomaly is missed, and no false alarm has a picture."""
    specs = pictures(written(morning, tmp_path, "entity,time\n"))
    (sick,) = rows_of(specs["kind-broker_down"])
    assert ",missed," in sick
    # Of one colour, too, it has to be said what it stands for.
    spans = specs["kind-broker_down"]["layer"][1]["encoding"]["color"]
    assert (spans["scale"]["domain"], spans["legend"]["orient"]) == (["missed"], "bottom")
    assert "false-alarms" not in specs


def test_an_alert_on_what_an_anomaly_touched_differs_from_one_on_its_root(
    morning: str, tmp_path: Path
) -> None:
    """Its cluster is not the broker that is down."""
    specs = pictures(written(morning, tmp_path, f"entity,time\nsim-eu,{ONSET + 60_000}\n"))
    (sick,) = rows_of(specs["kind-broker_down"])
    assert ",found on what it touched," in sick


def test_names_of_entities_are_text_in_the_page(morning: str, tmp_path: Path) -> None:
    """Neither markup nor control characters."""
    page = written(morning, tmp_path, f'entity,time\n"</script><b>\x1b",{ONSET}\n')
    assert "</script><b>" not in page
    assert "\x1b" not in page


def test_pictures_are_drawn(morning: str, tmp_path: Path) -> None:
    """By the library that carries the page's own."""
    page = written(morning, tmp_path, f"entity,time\nsim-eu,{ONSET}\nprod-eu,{ONSET}\n")
    for name, spec in pictures(page).items():
        assert library.png(spec, name, "").startswith(b"\x89PNG")


def test_scores_have_a_page_too(tmp_path: Path) -> None:
    """What they flag at the threshold is what is shown."""
    truth(hybrid(tmp_path / "s"))
    scores_of(tmp_path, 1.0, 0.0)
    options = ScoreOptions(out=tmp_path / "page.html")
    assert score(tmp_path / "scores.parquet", str(tmp_path / "s"), options) == 0
    (sick,) = rows_of(pictures((tmp_path / "page.html").read_text())["kind-broker_down"])
    assert ",found," in sick


def test_a_page_that_cannot_be_written_is_an_error(morning: str, tmp_path: Path) -> None:
    """The message names the place and the option."""
    (tmp_path / "a.csv").write_text("entity,time\n")
    with pytest.raises(CommandError, match="--out"):
        score(tmp_path / "a.csv", morning, ScoreOptions(out=tmp_path))
