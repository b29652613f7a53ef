"""The live table of a running job, drawn on a terminal from pictures of it.

Clusters come first: how they stand, which groups are behind and which queues are full; below are the job's own parts.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf, isnan
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.observe.health import not_ready
from flows.observe.keys import keys_read
from flows.observe.latest_figures import Figures, FigureTable
from flows.observe.picture import (
    ORIGINS,
    ClusterPicture,
    Picture,
    PoolPicture,
    SinkPicture,
    TargetPicture,
)
from flows.observe.view import HELP, View
from flows.units import age, count, duration, percent, rate, size, whole
from flows.visible import visible
from operators.schema.rabbitmq import UNUSABLE
from operators.ticks import Outcome

_REFRESHES = 2.0
"""A second. Rates and ages do not change faster than one can read them."""
_LOG_LINES = 4
"""Lines of the terminal that stay free for log lines above the table."""
_WIDE = 140
"""Columns from which Kafka stands beside the job's own parts, and more columns are shown."""
_NAME = 24
"""Columns of a name before which a figure that matters less is left out."""
_LEAST = 3
"""Lines that a part gets before others get more."""
_SENTENCE = 5
"""Lines that what is wrong may take."""
_CAUSES = 2
"""Causes why targets fail that are reported above their rows."""
# Colours only repeat what a word or a number says, and none of them is one that a light or a
# dark background swallows.
_GOOD, _BAD, _HEAD = "green", "bold red", "bold"

"""States in which nobody can use a queue of RabbitMQ."""

_NONE: NDArray[np.float64] = np.empty(0)

Cell = str | Text
Order = Callable[[Any], Any]


@dataclass(frozen=True)
class Part:
    """A part of the table: a row an item, below their heads."""

    name: str
    heads: Sequence[str]
    items: Sequence[Any]
    row: Callable[[Any], Sequence[Cell]]
    name_of: Callable[[Any], str]
    orders: Mapping[str, Order] = field(default_factory=dict)
    """By name, what items are sorted by; the first is used until another is chosen."""
    spare: Sequence[str] = ()
    """Heads of columns that may be left out for the names, the first one first."""
    words_last: bool = False
    """Whether the last column is words, which take what room is left."""
    word_of: Callable[[Any], str] | None = None
    """Items that find no room are counted by it."""


@contextmanager
def live_table(console: Console, picture: Callable[[], Picture]) -> Iterator[None]:
    """Show the table on a terminal until the block ends; its last state stays there.

    What is printed to the console meanwhile appears above the table. Keys sort, filter, scroll and
    pause it, where there is a keyboard.
    """
    view = View()
    screen = _Screen(console, lambda: JobTable(picture(), view))

    def press(key: str) -> None:
        view.press(key, picture())
        screen.refresh()

    screen.show()
    try:
        with keys_read(press, screen.leave, screen.show) as keyboard:
            view.keys = keyboard
            yield
    finally:
        view.reset()
        screen.leave()


class _Screen:
    """The place on the terminal where the table is drawn over and over."""

    def __init__(self, console: Console, table: Callable[[], RenderableType]) -> None:
        self._console = console
        self._table = table
        self._live: Live | None = None

    def show(self) -> None:
        """Draw it from here on, below what is there."""
        self._live = Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start(refresh=True)
        # A job may be killed, and must not leave the terminal without a cursor.
        self._console.show_cursor(True)

    def refresh(self) -> None:
        """Draw it now."""
        if (live := self._live) is not None:
            live.refresh()

    def leave(self) -> None:
        """Draw it once more, and no more after that."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()


class JobTable:
    """A picture of a job as a renderable that fits the terminal."""

    def __init__(self, picture: Picture, view: View | None = None) -> None:
        self._picture = picture
        self._view = view or View()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = max(10, console.height - _LOG_LINES)
        picture = self._view.paused or self._picture
        yield job_table(picture, options.max_width, height, self._view)


def job_table(picture: Picture, width: int, height: int, view: View) -> RenderableType:
    """A picture of a job in at most `height` lines; what is in trouble comes first."""
    wide = width >= _WIDE
    top: list[RenderableType] = [_headline(picture, view)]
    if picture.anomalies:
        top.append(_anomalies(picture.anomalies))
    for sink in picture.sinks:
        if sink.published is not None and not sink.published and not picture.ended:
            top += _paragraph(picture.job.files[sink.name], width)
    for words in _troubles(picture):
        top += _paragraph(words, width, _BAD)
    # However much is wrong, most lines are the table's.
    del top[max(1, height // 3) :]
    kafka = [
        _clusters(picture, wide=wide),
        _groups(picture, wide=wide),
        _queues(picture, wide=wide),
    ]
    own = [
        _sinks(picture, wide=wide),
        _targets(picture),
        _pools([pool for pool in picture.pools if pool.used]),
    ]
    kafka = [part for part in kafka if part.items]
    own = [part for part in own if part.items]
    chosen = [*kafka, *own]
    view.shown = ""
    if chosen:
        lagging = ("groups", "queues")
        usual = next((n for n, part in enumerate(chosen) if part.name in lagging), 0)
        view.shown = chosen[(usual if view.part is None else view.part) % len(chosen)].name
    bottom = [_help(view, chosen, width)] if view.keys and not picture.ended and chosen else []
    rest = height - len(top) - len(bottom)
    if wide and kafka and own:
        grid = Table.grid(expand=True, padding=(0, 3, 0, 0))
        # What is wrong in the job's own parts stands above in whole words; names need the room.
        grid.add_column(ratio=6)
        grid.add_column(ratio=5)
        grid.add_row(_column(kafka, rest, view), _column(own, rest, view))
        return Group(*top, grid, *bottom)
    return Group(*top, _column(chosen, rest, view), *bottom)


# Lines above and below


def _headline(picture: Picture, view: View) -> Text:
    job = picture.job
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"mqpipe {job.name}", _HEAD)
    mode = f"  {job.mode}" if job.mode else ""
    line.append(f"{mode}  up {duration(round(picture.now - picture.started))}  ")
    if view.paused is not None:
        line.append("paused  ", _HEAD)
    causes = not_ready(picture)
    if picture.ended:
        line.append(picture.ended, _BAD if picture.ended == "failed" else _HEAD)
    elif not causes:
        line.append("ready", _GOOD)
    elif causes[0].code in ("starting", "draining"):
        line.append(causes[0].code, _HEAD)
    else:
        line.append(causes[0].code.replace("_", " "), _BAD)
    return line


def _troubles(picture: Picture) -> Iterator[str]:
    """What is wrong and what to do, each in a sentence: beside a row's figures is no room for it."""
    causes = [] if picture.ended else not_ready(picture)
    for cause in causes:
        if cause.code not in ("starting", "draining"):
            yield cause.message
    if all(cause.code != "targets_failing" for cause in causes):
        # All targets of a cluster that cannot be reached say the same.
        wrong = dict.fromkeys(
            f"{_cluster_of(target)}: {target.error_class}: {_error_of(target)}"
            for target in picture.targets
            if target.failures and target.error
        )
        yield from list(wrong)[:_CAUSES]
        if len(wrong) > _CAUSES:
            yield f"… and {len(wrong) - _CAUSES:,} other causes"
    yield from (f"{sink.name}: {sink.error}" for sink in picture.sinks if sink.error)


def _cluster_of(target: TargetPicture) -> str:
    return target.key.partition("/")[0]


def _error_of(target: TargetPicture) -> str:
    """A target's last error without its cluster's name, which stands before it."""
    return target.error.removeprefix(f"{_cluster_of(target)}: ")


def _paragraph(words: str, width: int, style: str = "") -> list[RenderableType]:
    """Words in whole ones, in a few lines."""
    lines = wrap(visible(words), width, max_lines=_SENTENCE, placeholder=" …")
    return [_on_one_line(Text(line, style)) for line in lines]


def _anomalies(labels: Sequence[str]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"anomalies {len(labels)}", _HEAD)
    # Of `<kind>:<entity>:<start>` the start would take the room of two others.
    names = (" ".join(label.split(":")[:2]) for label in labels)
    line.append(visible(f"  {', '.join(names)}"))
    return line


def _help(view: View, parts: Sequence[Part], width: int) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    if view.typing:
        line.append("names with ", _HEAD)
        line.append(visible(view.words) + "▏  enter, or escape for all")
        return line
    part = next(part for part in parts if part.name == view.shown)
    line.append(f"{part.name} by {_order_of(part, view)}" if part.orders else part.name, _HEAD)
    if view.words:
        line.append(visible(f" with {view.words} (escape: all)"), _HEAD)
    # A part of a hint is none.
    for hint in HELP:
        if line.cell_len + 2 + cell_len(hint) > width:
            break
        line.append(f"  {hint}")
    return line


# The parts


def _clusters(picture: Picture, *, wide: bool) -> Part:
    covered = any(cluster.expected for cluster in picture.clusters)
    fills = wide and picture.job.mode == "hybrid"
    known = list(picture.figures.values())
    alarmed = any(not isnan(of.alarms) for of in known)
    dead = any(not isnan(of.dead_lettered) for of in known)
    # Of collected RabbitMQ neither is known.
    replicated = not alarmed or any(not isnan(of.under_replicated) for of in known)
    sized = not alarmed or any(not isnan(of.bytes) for of in known)
    heads = ["cluster", "nodes" if alarmed else "brokers"]
    heads += [*(["under-repl"] if replicated else []), "offline"]
    heads += [*(["alarms"] if alarmed else []), *(["dead/s"] if dead else []), "msgs/s"]
    heads += [*(["bytes/s"] if sized else []), *(["lag", "health"] if wide else []), "tick"]
    heads += ["came", *(["filled", "late"] if fills else [])] if covered else []
    nothing = Figures()

    def figures(cluster: ClusterPicture) -> Figures:
        return picture.figures.get(cluster.name, nothing)

    def row(cluster: ClusterPicture) -> Sequence[Cell]:
        now = figures(cluster)
        tick = cluster.last_tick
        known = max(now.known, now.up) if not isnan(now.known) else now.up
        brokers = "-" if isnan(now.up) else f"{now.up:.0f}/{known:.0f}"
        expected, collected, filled = cluster.recent
        more = [_number(now.lag, whole), _number(now.health, lambda h: f"{h:.0f}")]
        coverage = [
            f"{percent(collected, expected, 0)}%" if expected else "-",
            *([f"{percent(filled, expected)}%" if expected else "-"] if fills else []),
            *([count(cluster.late)] if fills else []),
        ]
        return [
            cluster.name,
            Text(brokers, _BAD if now.up < known else ""),
            *([_trouble(now.under_replicated)] if replicated else []),
            _trouble(now.offline),
            *([_trouble(now.alarms)] if alarmed else []),
            *([_number(now.dead_lettered, rate)] if dead else []),
            _number(now.messages, rate),
            *([_number(now.bytes, lambda b: size(round(b)))] if sized else []),
            *(more if wide else []),
            "-" if tick is None else age(picture.now - tick / 1000),
            *(coverage if covered else []),
        ]

    def worst(cluster: ClusterPicture) -> tuple[float, ...]:
        now = figures(cluster)
        expected, collected, _ = cluster.recent
        came = collected / expected if expected else 1.0
        down = now.known - now.up
        trouble = (now.offline, down, now.alarms, now.under_replicated)
        return *(-_or(number, 0) for number in trouble), came

    return Part(
        "clusters",
        heads,
        picture.clusters,
        row,
        lambda cluster: cluster.name,
        {
            "trouble": lambda c: (worst(c), c.name),
            "messages": lambda c: (-_or(figures(c).messages, -inf), c.name),
            "lag": lambda c: (-_or(figures(c).lag, -inf), c.name),
            "name": lambda c: c.name,
        },
        spare=("bytes/s", "tick"),
    )


def _groups(picture: Picture, *, wide: bool) -> Part:
    groups = picture.groups
    safe = not np.isnan(groups.figures.get("margin", _NONE)).all()
    loses = (groups.figures.get("lost", _NONE) > 0).any()
    said = any(groups.states)
    ahead = [*(["safe for"] if safe else []), *(["lost"] if loses else [])]
    more = [*ahead, *(["catches up", "members"] if wide else [])]
    heads = ["group", "lag", "behind", "trend", *more, *(["state"] if said else [])]

    def row(place: int) -> Sequence[Cell]:
        state = groups.states[place] or "-"
        margin, lost = groups.figure("margin", place), groups.figure("lost", place)
        others = [
            # One that keeps up has nothing to catch up with.
            _number(groups.figure("catch_up", place), lambda s: duration(s) if s else "-"),
            _number(groups.figure("members", place), whole),
        ]
        return [
            groups.names[place],
            _number(groups.figure("lag", place), whole),
            _number(groups.figure("seconds", place), duration),
            _number(groups.figure("trend", place), lambda t: f"{_signed(t)}/s"),
            *([Text(_number(margin, duration), _BAD if margin < 3600 else "")] if safe else []),
            *([Text(_number(lost, whole), _BAD if lost > 0 else "")] if loses else []),
            *(others if wide else []),
            *([Text(state, _BAD if state in ("losing", "stalled") else "")] if said else []),
        ]

    largest = partial(_largest, groups)
    return Part(
        "groups",
        heads,
        range(len(groups.names)),
        row,
        lambda place: groups.names[place],
        {
            "lag": largest("lag"),
            "behind": largest("seconds"),
            "trend": largest("trend"),
            "safe for": lambda p: (_or(groups.figure("margin", p), inf), groups.names[p]),
            "name": lambda p: groups.names[p],
        },
        spare=("members", "catches up", "trend"),
    )


def _largest(of: FigureTable, figure: str) -> Order:
    return lambda place: (-_or(of.figure(figure, place), -inf), of.names[place])


def _queues(picture: Picture, *, wide: bool) -> Part:
    queues = picture.queues
    held = not np.isnan(queues.figures.get("unacknowledged", _NONE)).all()
    said = any(queues.states)
    more = [*(["unacked"] if held else []), "in/s", "out/s", "oldest"]
    more += ["consumers"] if held and wide else []
    heads = ["queue", "depth", *more, *(["state"] if said else [])]

    def row(place: int) -> Sequence[Cell]:
        state = queues.states[place] or "-"
        figure = partial(queues.figure, place=place)
        return [
            queues.names[place],
            _number(figure("depth"), whole),
            *([_number(figure("unacknowledged"), whole)] if held else []),
            _number(figure("in"), rate),
            _number(figure("out"), rate),
            _number(figure("seconds"), duration),
            *([_number(figure("consumers"), whole)] if held and wide else []),
            *([Text(state, _BAD if state in UNUSABLE else "")] if said else []),
        ]

    largest = partial(_largest, queues)
    deepest = largest("depth")
    return Part(
        "queues",
        heads,
        range(len(queues.names)),
        row,
        lambda place: queues.names[place],
        {
            # Of one that nobody can use the depth is not known: it is the first to be seen.
            "depth": lambda p: (queues.states[p] not in UNUSABLE, deepest(p)),
            "oldest": largest("seconds"),
            "messages": largest("in"),
            "name": lambda p: queues.names[p],
        },
        spare=("consumers", "in/s"),
    )


def _sinks(picture: Picture, *, wide: bool) -> Part:
    shown = [o for o in ORIGINS if any(o in sink.written for sink in picture.sinks)]
    sends = any(sink.published is None for sink in picture.sinks)
    files = any(sink.published is not None for sink in picture.sinks)
    waits = any(sink.spool_limit is not None for sink in picture.sinks)
    apart = wide or len(shown) == 1
    heads = ["sink", *([f"{o}/s" for o in shown] if apart else ["samples/s"]), "accepted"]
    heads += [*(["in files"] if files else []), *(["delivered"] if sends else [])]
    heads += [*(["waiting"] if waits else []), "dead", "delay", *(["error"] if wide else [])]

    def row(sink: SinkPicture) -> Sequence[Cell]:
        dead = sum(sink.dead.values())
        delay = sink.delay(picture.now, picture.job.interval)
        rates = [sink.rates.get(origin, 0.0) for origin in shown]
        waiting = "-" if sink.spool_limit is None else size(sink.unsent_bytes)
        return [
            sink.name,
            *([rate(r) for r in rates] if apart else [rate(sum(rates))]),
            count(sum(sink.written.values())),
            *(["-" if sink.published is None else count(sink.arrived)] if files else []),
            *(["-" if sink.published is not None else count(sink.arrived)] if sends else []),
            *([waiting] if waits else []),
            Text(count(dead), _BAD if dead else ""),
            "-" if delay is None else duration(delay),
            *([Text(visible(sink.error), _BAD)] if wide else []),
        ]

    # Where there is room for few, those in trouble are among them.
    sinks = sorted(picture.sinks, key=lambda sink: not (sink.error or sink.dead))
    return Part("sinks", heads, sinks, row, lambda sink: sink.name, words_last=wide)


def _pools(pools: Sequence[PoolPicture]) -> Part:
    heads = ["pool", "slots", "queue", "most", "done", "failed", "works on"]

    def row(pool: PoolPicture) -> Sequence[Cell]:
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

    return Part("pools", heads, pools, row, lambda pool: pool.name, words_last=True)


def _targets(picture: Picture) -> Part:
    heads = ["target", "state", "success", "tries", "took", "last error"]
    slots = {slot.key: slot.busy for pool in picture.pools for slot in pool.slots}
    breakers = {b.key: b.probe_in for pool in picture.pools for b in pool.breakers if b.open}

    def state(target: TargetPicture) -> str:
        if target.key in breakers:
            return "breaker"
        if target.key in slots:
            return "running"
        if target.outcome is None:
            return "waiting"
        return "ok" if target.outcome is Outcome.COMPLETED else target.outcome.value

    def row(target: TargetPicture) -> Sequence[Cell]:
        now = state(target)
        style = _GOOD if now == "ok" else _BAD if target.failures else ""
        # The row begins with the cluster: no room for it a second time.
        error = f"{target.error_class}: {_error_of(target)}" if target.error_class else ""
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

    return Part(
        "targets",
        heads,
        picture.targets,
        row,
        lambda target: target.key,
        {
            "trouble": lambda t: (-t.failures, t.outcome is not None, t.key),
            "took": lambda t: (-(t.duration or 0.0), t.key),
            "name": lambda t: t.key,
        },
        words_last=True,
        word_of=state,
    )


# Figures


def _or(value: float, otherwise: float) -> float:
    return otherwise if isnan(value) else value


def _number(value: float, words: Callable[[float], str]) -> str:
    return "-" if isnan(value) else words(value)


def _signed(per_second: float) -> str:
    return ("-" if per_second < 0 else "+" if per_second > 0 else "") + rate(abs(per_second))


def _trouble(value: float) -> Text:
    return Text(_number(value, whole), _BAD if value > 0 else "")


# How parts are laid out


def _column(parts: Sequence[Part], lines: int, view: View) -> RenderableType:
    """Parts below each other: the one that is looked at gets room first, then each in turn."""
    found = {part.name: [i for i in part.items if view.matches(part.name_of(i))] for part in parts}
    wanted = [len(found[part.name]) + 1 if found[part.name] else 0 for part in parts]
    got = _shared(wanted, lines, next((n for n, p in enumerate(parts) if p.name == view.shown), 0))
    shown = zip(parts, got, strict=True)
    return Group(*(_drawn(part, found[part.name], room, view) for part, room in shown))


def _shared(wanted: Sequence[int], lines: int, first: int) -> list[int]:
    """Lines for each part: the least for all in their order, then half of the rest for the first."""
    got = [0] * len(wanted)

    def give(part: int, up_to: int) -> None:
        nonlocal lines
        more = max(0, min(lines, min(up_to, wanted[part]) - got[part]))
        got[part] += more
        lines -= more

    for part in range(len(wanted)):
        give(part, _LEAST)
    if got:
        give(first, got[first] + (lines + 1) // 2)
    while lines and got != list(wanted):
        for part in range(len(wanted)):
            give(part, got[part] + 1)
    return got


def _order_of(part: Part, view: View) -> str:
    return list(part.orders)[view.orders.get(part.name, 0) % len(part.orders)]


def _drawn(part: Part, items: list[Any], lines: int, view: View) -> RenderableType:
    """A row an item under their heads, in at most `lines` lines; the last counts the rest."""
    if not items or lines < 2:
        return Group()
    if part.orders:
        items.sort(key=part.orders[_order_of(part, view)])
    # Beyond the last item a part scrolls no further.
    fit = len(items) if len(items) < lines else max(1, lines - 2)
    start = min(view.scrolled.get(part.name, 0), len(items) - fit)
    if part.name in view.scrolled:
        view.scrolled[part.name] = start
    if part.name == view.shown:
        view.page = fit
    table = _Rows(part, [part.row(item) for item in items[start : start + fit]])
    if fit == len(items) or lines < _LEAST:
        return table
    others = items[:start] + items[start + fit :]
    hidden = f"… {len(others)} more" + (f", {start} above" if start else "")
    if part.word_of is not None:
        words_of = Counter(map(part.word_of, others)).most_common()
        hidden += ": " + ", ".join(f"{number} {word}" for word, number in words_of)
    return Group(table, _on_one_line(hidden))


@dataclass(frozen=True)
class _Rows:
    """Rows below a part's heads, without the columns that the names need the room of."""

    part: Part
    rows: Sequence[Sequence[Cell]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads, words_last = self.part.heads, self.part.words_last
        shown = self._shown(options.max_width)
        table = Table(
            box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_HEAD, expand=words_last
        )
        for index in shown:
            last = words_last and index == len(heads) - 1
            words = index == 0 or last
            table.add_column(
                heads[index],
                # Where columns are too wide together, those that may wrap give way first.
                no_wrap=not words,
                justify="left" if words or heads[index] == "state" else "right",
                ratio=1 if last else None,
            )
        for row in self.rows:
            name, *rest = (row[index] for index in shown)
            table.add_row(_on_one_line(name), *rest[:-1], _on_one_line(rest[-1]))
        yield table

    def _shown(self, room: int) -> list[int]:
        """Places of the columns that are shown."""
        heads = self.part.heads
        widths = [
            max(cell_len(head), *(_width(row[index]) for row in self.rows))
            for index, head in enumerate(heads)
        ]
        widths[0] = min(widths[0], _NAME)
        shown = list(range(len(heads)))
        for head in self.part.spare:
            if sum(widths[index] + 2 for index in shown) - 2 <= room:
                break
            shown = [index for index in shown if heads[index] != head]
        return shown


def _width(cell: Cell) -> int:
    return cell_len(visible(cell)) if isinstance(cell, str) else cell.cell_len


def _on_one_line(words: Cell) -> Text:
    text = Text(visible(words)) if isinstance(words, str) else words
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
