"""docs/detectors.md: how well each detector finds what went wrong, by kind."""

from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from flows.detectors.bench import NAMES, DetectorResult, held_against
from flows.detectors.cases import CASES, DIFFICULTIES, SEED, START, FleetCase, harder
from flows.units import minutes

_HEAD = f"""\
# Detectors

What the alerts that ship with mqpipe find, and what simpler and cleverer detectors find, of what goes wrong
in simulated fleets. Made by `python -m flows.detectors page docs/detectors.md` (extra `detectors`), from
seed {SEED}; figures are those of [`mqpipe score`](score.md).

| detector | what it says |
|---|---|
| `newrelic_alerts` | alerts, as `mqpipe dashboard --alerts` writes them: windows, thresholds and lost signals of New Relic |
| `prometheus_rules` | alerts, as the rules on clusters in `docker/prometheus/alerts.yml` fire |
| `robust_z` | a score: how far a metric is from its series' median, in robust deviations, of the farthest metric |
| `seasonal_naive` | the same of the difference to the day before |
| `isolation_forest` | a score: scikit-learn's forest of a series, over all its metrics |
| `margin` | a score of groups: how soon their first unread message is lost ([Data loss](data-loss.md)) |

The first two are read from what ships, so that an alert that changes changes what it finds. A detector that gives
scores has the threshold at which its flagged ticks do best, which no one knows beforehand: it is what it
could do, where alerts are what they do; these were tuned on such simulations, of another seed. Each is one short module in `flows/detectors/`; one runs on samples of yours by

<!-- not run: it needs samples -->
```console
$ python -m flows.detectors run robust_z ./samples --out scores.parquet
$ mqpipe score scores.parquet --against ./samples
```
"""


_DIFFICULTY = """\
## Difficulty

`difficulty` of a simulation makes all its anomalies weaker and shorter by that share, at the same times and
places. VUS-PR of three days of the ordinary case falls with it for every detector:
"""


def page(cases: Iterable[FleetCase] = CASES) -> str:
    """The whole page."""
    parts = [_HEAD]
    for place, case in enumerate(cases):
        parts.append(section(case, by_kind=place == 0))
    return "\n".join([*parts, scale()])


def section(case: FleetCase, *, by_kind: bool) -> str:
    """What is said of one case."""
    results = held_against(case.config, START, case.end, NAMES)
    parts = [f"## {case.name.capitalize()}", "", case.meaning, "", *_in_all(results)]
    if by_kind:
        parts += ["", "Anomalies that each found, by kind:", "", *_found(results)]
        parts += ["", "VUS-PR, the mean of the series that a kind touched:", "", *_volumes(results)]
    parts += ["", f"Of {case.days} days of this configuration:", "", "```yaml"]
    return "\n".join([*parts, case.text + "```"]) + "\n"


def scale() -> str:
    """What is said of the scale of difficulty."""
    every = {
        f"{difficulty:g}": held_against(case.config, START, case.end, NAMES)
        for difficulty, case in ((d, harder(d)) for d in DIFFICULTIES)
    }
    rows = (
        (f"`{name}`", *(_share(results[name].vus_pr) for results in every.values()))
        for name in NAMES
    )
    head = ("difficulty", *every)
    return "\n".join([_DIFFICULTY, *_table(head, rows)]) + "\n"


def _in_all(results: Mapping[str, DetectorResult]) -> Iterator[str]:
    yield from _table(
        (
            "detector",
            "precision",
            "recall",
            "F1",
            "cause",
            "median delay",
            "false alarms",
            "VUS-PR",
        ),
        (
            (
                f"`{name}`",
                *(_share(s) for s in (one.precision, one.recall, one.f1, one.events.cause)),
                _delay(one),
                f"{one.false_alarms:.2f}",
                _share(one.vus_pr),
            )
            for name, one in sorted(results.items(), key=lambda item: -item[1].f1)
        ),
    )


def _found(results: Mapping[str, DetectorResult]) -> Iterator[str]:
    first = next(iter(results.values()))
    yield from _table(
        ("kind", "anomalies", *(f"`{name}`" for name in results)),
        (
            (
                kind,
                str(events.anomalies),
                *(str(len(r.kinds[kind].delays)) for r in results.values()),
            )
            for kind, events in first.kinds.items()
        ),
    )


def _volumes(results: Mapping[str, DetectorResult]) -> Iterator[str]:
    first = next(iter(results.values()))
    yield from _table(
        ("kind", *(f"`{name}`" for name in results)),
        (
            (kind, *(_share(r.means[kind].vus_pr) for r in results.values()))
            for kind in first.kinds
            if kind in first.means
        ),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|---{'|---:' * (len(head) - 1)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _delay(one: DetectorResult) -> str:
    median = pl.Series(one.events.delays, dtype=pl.Float64).median()
    return "–" if not isinstance(median, float) else minutes(median)
