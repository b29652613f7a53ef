"""The live table of a running job, drawn on a terminal from pictures of it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.observe.health import not_ready
from flows.observe.picture import (
    ORIGINS,
    ClusterPicture,
    Picture,
    PoolPicture,
    SinkPicture,
    Target,
)
from flows.observe.units import age, count, duration, rate, size
from flows.visible import visible
from operators.ticks import Outcome

_REFRESHES = 2.0
"""A second. Rates and ages do not change faster than one can read them."""
_LOG_LINES = 4
"""Lines of the terminal that stay free for log lines above the table."""
_WIDE = 140
"""Columns from which targets stand beside the rest."""
# Colours only repeat what a word or a number says, and none of them is one that a light or a
# dark background swallows.
_GOOD, _BAD, _HEAD = "green", "bold red", "bold"

T = TypeVar("T")
Row = Sequence[str | Text]


@contextmanager
def live_table(console: Console, picture: Callable[[], Picture]) -> Iterator[None]:
    """Show the table on a terminal until the block ends; its last state stays there.

    What is printed to the console meanwhile appears above the table.
    """
    with Live(
        console=console,
        get_renderable=lambda: JobTable(picture()),
        refresh_per_second=_REFRESHES,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    ):
        # A job may be killed, and must not leave the terminal without a cursor.
        console.show_cursor(True)
        yield


class JobTable:
    """A picture of a job as a renderable that fits the terminal."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = max(10, console.height - _LOG_LINES)
        yield job_table(self._picture, options.max_width, height)


def job_table(picture: Picture, width: int, height: int) -> RenderableType:
    """A picture of a job in at most `height` lines; what is in trouble comes first."""
    top: list[RenderableType] = [_headline(picture)]
    if picture.anomalies:
        top.append(_anomalies(picture.anomalies))
    top += [
        _on_one_line(picture.job.files[sink.name])
        for sink in picture.sinks
        if sink.published is not None and not sink.published
    ]
    rest = height - len(top)
    sinks = _lines_of(picture.sinks)
    at_work = [pool for pool in picture.pools if pool.used]
    pools = min(_lines_of(at_work), max(3, (rest - sinks) // 2))
    rest -= sinks + pools
    above = [_sinks(picture, sinks, width), _pools(at_work, pools)]
    targets, clusters = _lines_of(picture.targets), _lines_of(picture.clusters)
    if width >= _WIDE and targets:
        left = Group(*above, _clusters(picture, rest))
        grid = Table.grid(expand=True, padding=(0, 3, 0, 0))
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(left, _targets(picture, height - len(top)))
        return Group(*top, grid)
    targets = min(targets, max(rest - clusters, rest * 2 // 3))
    return Group(*top, *above, _targets(picture, targets), _clusters(picture, rest - targets))


# The parts


def _headline(picture: Picture) -> Text:
    job = picture.job
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"mqpipe {job.name}", _HEAD)
    line.append(f"  {job.mode}  up {duration(round(picture.now - picture.started))}  ")
    causes = not_ready(picture)
    if not causes:
        line.append("ready", _GOOD)
    elif causes[0].code in ("starting", "draining"):
        line.append(causes[0].code, _HEAD)
    else:
        line.append(visible(f"{causes[0].code.replace('_', ' ')}: {causes[0].message}"), _BAD)
    return line


def _anomalies(labels: Sequence[str]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"anomalies {len(labels)}", _HEAD)
    # Of `<kind>:<entity>:<start>` the start would take the room of two others.
    names = (" ".join(label.split(":")[:2]) for label in labels)
    line.append(visible(f"  {', '.join(names)}"))
    return line


def _sinks(picture: Picture, lines: int, width: int) -> RenderableType:
    shown = [o for o in ORIGINS if any(o in sink.written for sink in picture.sinks)]
    sends = any(sink.published is None for sink in picture.sinks)
    files = any(sink.published is not None for sink in picture.sinks)
    wide = width >= _WIDE or len(shown) == 1
    heads = ["sink", *([f"{o}/s" for o in shown] if wide else ["samples/s"]), "accepted"]
    heads += [*(["in files"] if files else []), *(["delivered"] if sends else [])]
    heads += ["waiting", "dead", "delay"]

    def row(sink: SinkPicture) -> Row:
        dead = sum(sink.dead.values())
        delay = sink.delay(picture.now, picture.job.interval)
        rates = [sink.rates.get(origin, 0.0) for origin in shown]
        return [
            sink.name,
            *([rate(r) for r in rates] if wide else [rate(sum(rates))]),
            count(sum(sink.written.values())),
            *(["-" if sink.published is None else count(sink.arrived)] if files else []),
            *(["-" if sink.published is not None else count(sink.arrived)] if sends else []),
            "-" if sink.spool_limit is None else size(sink.unsent_bytes),
            Text(count(dead), _BAD if dead else ""),
            "-" if delay is None else duration(delay),
        ]

    return _section(heads, picture.sinks, row, lines)


def _pools(pools: Sequence[PoolPicture], lines: int) -> RenderableType:
    heads = ["pool", "slots", "queue", "most", "done", "failed", "works on"]

    def row(pool: PoolPicture) -> Row:
        stats = pool.stats
        done = stats.outcomes[Outcome.COMPLETED]
        failed = sum(stats.outcomes.values()) - done
        works_on = ", ".join(f"{slot.key} {duration(slot.busy)}" for slot in pool.busy)
        return [
            pool.name,
            f"{stats.running}/{stats.limit}",
            f"{stats.queued}/{count(pool.queue)}",
            count(stats.queued_high),
            count(done),
            Text(count(failed), _BAD if failed else ""),
            works_on,
        ]

    return _section(heads, pools, row, lines, words_last=True)


def _targets(picture: Picture, lines: int) -> RenderableType:
    heads = ["target", "state", "success", "tries", "took", "last error"]
    slots = {slot.key: slot.busy for pool in picture.pools for slot in pool.slots}
    breakers = {b.key: b.probe_in for pool in picture.pools for b in pool.breakers if b.open}

    def state(target: Target) -> str:
        if target.key in breakers:
            return "breaker"
        if target.key in slots:
            return "running"
        if target.outcome is None:
            return "waiting"
        return "ok" if target.outcome is Outcome.COMPLETED else target.outcome.value

    def row(target: Target) -> Row:
        now = state(target)
        style = _GOOD if now == "ok" else _BAD if target.failures else ""
        # The row begins with the cluster: no room for it a second time.
        what = target.error.removeprefix(f"{target.key.partition('/')[0]}: ")
        error = f"{target.error_class}: {what}" if target.error_class else ""
        if target.key in breakers:
            error = f"probe in {duration(breakers[target.key])}; {error}"
        return [
            target.key,
            Text(now, style),
            "never" if target.last_success is None else age(picture.now - target.last_success),
            str(target.attempts) if target.outcome else "-",
            "-" if target.duration is None else duration(target.duration),
            error,
        ]

    ordered = sorted(picture.targets, key=lambda t: (-t.failures, t.outcome is not None, t.key))
    states = Counter(state(target) for target in ordered[max(0, lines - 2) :])
    more = ", ".join(f"{number} {word}" for word, number in states.most_common())
    return _section(heads, ordered, row, lines, words_last=True, more=more)


def _clusters(picture: Picture, lines: int) -> RenderableType:
    covered = any(cluster.expected for cluster in picture.clusters)
    heads = ["cluster", "samples", "last tick", *(["came", "filled", "late"] if covered else [])]

    def row(cluster: ClusterPicture) -> Row:
        expected, collected, filled = cluster.recent
        tick = cluster.last_tick
        coverage = [
            f"{100 * collected / expected:.1f}%" if expected else "-",
            f"{100 * filled / expected:.1f}%" if expected else "-",
            count(cluster.late),
        ]
        return [
            cluster.name,
            count(cluster.samples),
            "-" if tick is None else age(picture.now - tick / 1000),
            *(coverage if covered else []),
        ]

    def collected_share(cluster: ClusterPicture) -> float:
        expected, collected, _ = cluster.recent
        return collected / expected if expected else 1.0

    worst_first = sorted(picture.clusters, key=collected_share)
    return _section(heads, worst_first, row, lines)


# How a part is laid out


def _lines_of(items: Sequence[object]) -> int:
    return len(items) + 1 if items else 0


def _section(
    heads: Sequence[str],
    items: Sequence[T],
    row: Callable[[T], Row],
    lines: int,
    *,
    words_last: bool = False,
    more: str = "",
) -> RenderableType:
    """A row an item under their heads, in at most `lines` lines; the last counts the rest."""
    if not items or lines < 2:
        return Group()
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_HEAD, expand=words_last
    )
    last = len(heads) - 1
    for index, head in enumerate(heads):
        words = index == 0 or (words_last and index == last)
        table.add_column(
            head,
            # Where columns are too wide together, those that may wrap give way first.
            no_wrap=not words,
            justify="left" if words or head == "state" else "right",
            ratio=1 if words_last and index == last else None,
        )
    fit = len(items) if len(items) < lines else lines - 2
    for item in items[:fit]:
        name, *rest = row(item)
        table.add_row(_on_one_line(name), *rest[:-1], _on_one_line(rest[-1]))
    if fit == len(items):
        return table
    hidden = f"… {len(items) - fit} more"
    return Group(table, _on_one_line(f"{hidden}: {more}" if more else hidden))


def _on_one_line(words: str | Text) -> Text:
    text = Text(visible(words)) if isinstance(words, str) else words
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
