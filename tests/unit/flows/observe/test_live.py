"""The live table: what it shows, and that it fits the terminal."""

import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from flows.observe.latest_figures import Figures, FigureTable
from flows.observe.live import JobTable, live_table
from flows.observe.picture import ClusterPicture, Picture, PoolPicture, TargetPicture
from flows.observe.view import HELP, View
from flows.units import age, count, duration, rate, size
from operators.pool.stats import PoolStats
from tests import job_pictures as p


def shown(
    picture: Picture,
    width: int = 80,
    height: int = 24,
    colour: bool = False,
    view: View | None = None,
) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(JobTable(picture, view))
    return capture.get()


FULL = p.picture(
    targets=(*(p.good(f"prod-{n}/brokers") for n in range(40)), p.bad("prod-77/topics")),
    pools=(p.pool("brokers", "prod-1/brokers"), p.pool("topics", tripped="prod-77/topics")),
    sinks=(p.sink("parquet", spooled=False), p.sink("newrelic", spooled=True, unsent=5000, dead=3)),
    clusters=tuple(p.cluster(f"prod-{n}") for n in range(30)),
    anomalies=("broker_down:prod-1/broker-2:2026-01-01T10:00:00Z", "spike:prod-2/orders"),
)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (100, 30), (60, 20), (20, 10)])
def test_it_fits_the_terminal_and_leaves_room_for_logs(width: int, height: int) -> None:
    """No line is wider than the terminal, and some of its lines stay free."""
    lines = shown(FULL, width, height).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(10, height - 4)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_every_part_has_its_place(width: int, height: int) -> None:
    """Sinks, pools, targets, clusters and anomalies are all there, the troubled target first."""
    text = shown(FULL, width, height)
    for word in ("sink", "newrelic", "pool", "topics", "cluster", "prod-0", "anomalies 2"):
        assert word in text
    targets = [line for line in text.splitlines() if "prod-77/topics" in line]
    assert len(targets) == 1
    assert "breaker" in targets[0]
    assert "probe in 42 s" in targets[0]
    others = [n for n, line in enumerate(text.splitlines()) if "prod-10/brokers" in line]
    assert all(n > text.splitlines().index(targets[0]) for n in others)


def test_active_anomalies_are_named_by_kind_and_entity() -> None:
    """Without their start, several fit on one line."""
    assert "anomalies 2  broker_down prod-1/broker-2, spike prod-2/orders\n" in shown(FULL)


def test_what_finds_no_room_is_counted() -> None:
    """The last line of a part says how many are not shown, and how targets among them are."""
    text = shown(FULL)
    listed = sum("/brokers " in line and "ago" in line for line in text.splitlines())
    hidden = 40 - listed
    assert f"… {hidden} more: " in text


def test_a_sink_shows_rates_by_origin_and_what_waits_or_is_dead() -> None:
    """What is accepted is apart from what is in files, and from what was delivered."""
    newrelic, parquet = [
        line.split() for line in shown(FULL).splitlines() if line.startswith(("parquet", "newr"))
    ]
    assert "simulated/s" not in shown(FULL)
    assert parquet == ["parquet", "41.0", "1,230", "615", "-", "-", "0", "400", "ms"]
    assert newrelic == ["newrelic", "41.0", "1,230", "-", "1,210", "5.00kB", "3", "400", "ms"]


def test_large_numbers_stay_whole_at_80_columns() -> None:
    """Where a row is too wide, the name gives way and no number does."""
    parquet = p.sink("parquet", spooled=False)
    large = replace(
        p.sink("newrelic-with-a-long-name", spooled=True, unsent=123_456_789, dead=123_456),
        written=Counter(dict.fromkeys(("collected", "simulated", "filled"), 987_654_321)),
        rates=dict.fromkeys(("collected", "simulated", "filled"), 999_999.0),
    )
    *_, line = (x for x in shown(p.picture(sinks=(parquet, large))).splitlines() if "newr" in x)
    assert line.split()[1:] == [
        "3.00M", "2.96G", "-", "1,210", "123MB", "123,456", "400", "ms",
    ]  # fmt: skip


def test_a_pool_shows_its_slots_queue_and_work() -> None:
    """Slots busy of all, waiting of those that may, the high-water mark, and who is worked on."""
    line = next(line for line in shown(FULL).splitlines() if line.startswith("brokers"))
    assert line.split() == [
        "brokers", "1/2", "4/1,000", "9", "3", "2", "prod-1/brokers", "2.5", "s",
    ]  # fmt: skip


def test_coverage_has_columns_only_where_something_was_expected() -> None:
    """A simulated fleet has no coverage."""
    assert "came" in shown(p.picture(clusters=(p.cluster("prod"),))).split("cluster", 1)[1]
    simulated = ClusterPicture("sim", int(p.NOW * 1000), 5, 0, 0, 0, 0, (0, 0, 0))
    assert "came" not in shown(p.picture(clusters=(simulated,)))


def test_the_cluster_with_the_most_gaps_comes_first() -> None:
    """Where there is room for few, those in trouble are among them."""
    gaps = replace(p.cluster("z-gaps"), recent=(100, 20, 80))
    lines = shown(p.picture(clusters=(p.cluster("a"), gaps))).splitlines()
    first = lines[next(n for n, line in enumerate(lines) if line.startswith("cluster")) + 1]
    assert first.split() == ["z-gaps", "-", "-", "-", "-", "-", "5", "s", "ago", "20%"]


def test_clusters_are_told_apart_on_a_narrow_terminal() -> None:
    """Their names are whole at 60 columns, though figures are large."""
    large = Figures(3, 3, 120, 0, 123_456, 9e8)
    names = ("prod-eu-1", "prod-eu-2")
    simulated = [ClusterPicture(n, int(p.NOW * 1000), 5, 0, 0, 0, 0, (0, 0, 0)) for n in names]
    picture = replace(p.picture(clusters=tuple(simulated)), figures=dict.fromkeys(names, large))
    text = shown(picture, 60)
    assert all(name in text for name in names)
    assert ("bytes/s" in text, "bytes/s" in shown(picture, 80)) == (False, True)


def test_names_are_whole_before_less_is_known_of_them_and_so_are_hints() -> None:
    """At 60 columns a table without bytes and ticks; of what keys do, what is shown is whole."""
    large = Figures(1003, 1003, 123_456, 100, 123_456, 9e8)
    cluster = ClusterPicture(
        "fleet-of-demo-1", int(p.NOW * 1000) - 100_000, 5, 0, 0, 0, 0, (0, 0, 0)
    )
    picture = replace(p.picture(clusters=(cluster,)), figures={cluster.name: large})
    lines = shown(picture, 60, view=View(keys=True)).splitlines()
    assert any(line.startswith("fleet-of-demo-1  1003/1003") for line in lines)
    for width in range(20, 90):
        bottom = shown(picture, width, view=View(keys=True)).splitlines()[-1]
        hints = bottom.rstrip().split("  ")[1:]
        assert tuple(hints) == HELP[: len(hints)]
    assert hints == list(HELP)


def test_a_killed_job_leaves_the_terminal_its_cursor() -> None:
    """The cursor is not hidden while the table is shown."""
    console = Console(file=(file := io.StringIO()), width=80, height=24, force_terminal=True)
    with live_table(console, p.picture):
        text = file.getvalue()
    hidden, shown_again = text.rfind("\x1b[?25l"), text.rfind("\x1b[?25h")
    assert hidden < shown_again


@pytest.mark.parametrize(
    ("target", "state"),
    [
        (TargetPicture("prod/topics"), "waiting"),
        (p.good("prod/topics"), "ok"),
        (p.bad("prod/topics"), "failed"),
    ],
)
def test_a_targets_state_is_a_word(target: TargetPicture, state: str) -> None:
    """Colour only repeats what the word says."""
    text = shown(p.picture(targets=(target,), pools=()))
    line = next(line for line in text.splitlines() if line.startswith("prod/topics"))
    assert line.split()[1] == state


def test_a_target_that_is_worked_on_is_running() -> None:
    """While a slot has it, its last outcome steps back."""
    text = shown(p.picture(targets=(p.good("prod/brokers"),), pools=(p.pool("b", "prod/brokers"),)))
    line = next(line for line in text.splitlines() if line.startswith("prod/brokers"))
    assert line.split()[1] == "running"


def test_no_name_reaches_the_terminal_as_a_command() -> None:
    """Control characters of names and errors are written out; the table keeps its lines."""
    name = "a\x1b[2J\x1b]0;title\x07b\r\n\u202ec/groups"
    target = p.bad("x/groups")._replace(key=name, error=f"no such group: {name}")
    cluster = replace(p.cluster("x"), name=name)
    picture = p.picture(
        targets=(target,),
        clusters=(cluster,),
        anomalies=(f"spike:{name}:2026-01-01T00:00:00Z",),
        pools=(p.pool("groups", busy=name),),
    )
    text = shown(picture, 200, 40)
    assert {c for c in text if not c.isprintable()} == {"\n"}
    assert text.count(r"a\x1b[2J\x1b]0;title\x07b\r\n\u202ec") >= 3


def test_the_headline_says_why_a_job_is_not_ready() -> None:
    """Health and the live table speak with one voice."""
    assert "ready" in shown(p.picture()).splitlines()[0]
    stalled = shown(p.picture(silence=200.0)).splitlines()
    assert (stalled[0].split()[-1], stalled[1][:28]) == ("stalled", "no tick ended for 3m 20s, an")


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("others", [(), (p.good("eu/topics"),)])
def test_why_a_cluster_cannot_be_reached_and_what_to_do_is_said_whole(
    width: int, others: tuple[TargetPicture, ...]
) -> None:
    """Once for all of its targets, in whole words, whether or not others go well."""
    cause = "no broker of 10.0.0.1:9092 answers: Connection refused; check `bootstrap_servers`"
    down = [
        p.bad(f"prod/{kind}")._replace(error_class="refused", error=f"prod: {cause}")
        for kind in ("brokers", "topics", "groups")
    ]
    above, _, table = shown(p.picture(targets=(*down, *others)), width).partition("sink ")
    said = " ".join(above.split())
    assert (said.count(cause), above.count("…")) == (1, 0), above
    assert "mqpipe check --connect" in said or others
    assert "prod/groups" in table


def test_the_sink_in_trouble_comes_first() -> None:
    """Where there is room for one of them, it is that."""
    refused = replace(p.sink("otlp", spooled=True), error="Connection refused")
    sinks = (p.sink("parquet", spooled=False), p.sink("kafka", spooled=True), refused)
    lines = shown(p.picture(sinks=sinks)).splitlines()
    rows = lines[next(n for n, line in enumerate(lines) if line.startswith("sink ")) + 1 :]
    assert rows[0].startswith("otlp ")


def test_where_files_appear_is_said_in_whole_words_on_a_narrow_terminal() -> None:
    """On as many lines as it takes."""
    words = (
        "samples appear in ./samples: the first by about 10:00:00 UTC, then every 10m, "
        "sooner where a cluster has 1,000,000 rows"
    )
    parquet = replace(p.sink("parquet", spooled=False), published=Counter())
    picture = p.picture(sinks=(parquet,))
    job = replace(picture.job, files={"parquet": words})
    text = shown(replace(picture, job=job), 60)
    assert words in " ".join(text.split())


def test_an_empty_job_has_only_a_headline() -> None:
    """Parts without rows take no room."""
    nothing = p.picture(targets=(), pools=(), sinks=(), silence=None, up=3.0)
    assert shown(nothing).splitlines() == ["mqpipe run  hybrid  up 3 s  starting"]


def test_a_pool_without_a_task_takes_no_room() -> None:
    """A simulation asks nobody: its table has no pools of targets that there are not."""
    idle = PoolPicture("topics", PoolStats(limit=15), 1000, (), ())
    heads = {line.split()[0] for line in shown(p.picture(pools=(idle,))).splitlines()}
    assert not heads & {"pool", "topics"}


def test_colours_are_ones_that_any_background_shows() -> None:
    """Only red, green and bold: no white, black, grey or yellow, and no background."""
    codes = set()
    for part in shown(FULL, colour=True).split("\x1b[")[1:]:
        codes.update(part.split("m")[0].split(";"))
    assert codes == {"0", "1", "31", "32"}


def test_what_is_printed_meanwhile_stands_above_the_table() -> None:
    """A log line does not tear the table: its last state is the last on the terminal."""
    console = Console(file=(file := io.StringIO()), width=80, height=24, force_terminal=True)
    with live_table(console, lambda: p.picture(targets=())):
        console.print("a log line")
    text = file.getvalue()
    assert text.count("a log line") == 1
    assert text.rindex("mqpipe run") > text.index("a log line")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0 ms"),
        (0.25, "250 ms"),
        (1.26, "1.3 s"),
        (2, "2 s"),
        (9.96, "10 s"),
        (59.6, "1m"),
        (3_599.7, "1h"),
        (5 * 3600 + 600, "5h 10m"),
        (3 * 86_400 + 4 * 3600, "3d 4h"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    """Two or three figures, whatever the size."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999_999, "999,999"),
        (1_000_000, "1.00M"),
        (12_345_678, "12.3M"),
        (999_600_000, "1.00G"),
        (123_456_789_000, "123G"),
    ],
)
def test_counts_are_short(number: int, text: str) -> None:
    """Exact up to six digits, then three figures."""
    assert count(number) == text


def test_rates_sizes_and_ages_are_short() -> None:
    """Each in the unit that suits it."""
    assert [rate(0), rate(0.5), rate(999.96), rate(4_567.8)] == ["0", "0.5", "1,000", "4,568"]
    assert [size(0), size(999), size(1_500), size(2**31)] == ["0 B", "999 B", "1.50kB", "2.15GB"]
    assert [age(-3), age(0.4), age(2.4), age(600)] == ["now", "now", "2 s ago", "10m ago"]


KAFKA = replace(
    p.picture(
        targets=(),
        pools=(),
        sinks=(replace(p.sink("newrelic", spooled=True), error="connection refused"),),
        clusters=(p.cluster("fine"), p.cluster("hurt")),
    ),
    figures={
        "fine": Figures(3, 3, 0, 0, 5000.0, 2e6, 90, 100),
        "hurt": Figures(2, 3, 72, 1, 100.0, 1e6, 70, 50),
    },
    groups=FigureTable(
        [f"fine/group-{n}" for n in range(30)] + ["hurt/billing"],
        [None] * 30 + ["losing"],
        {
            "lag": np.array([*range(30), 5.0]),
            "seconds": np.array([1.0] * 30 + [7200.0]),
            "trend": np.array([0.0] * 29 + [-3.0, 12.0]),
            "margin": np.array([np.nan] * 30 + [90.0]),
            "catch_up": np.full(31, np.nan),
            "members": np.full(31, 2.0),
        },
    ),
)


def lines_of(view: View, width: int = 80, height: int = 24) -> list[str]:
    return shown(KAFKA, width, height, view=view).splitlines()


def test_kafka_stands_first_and_the_worst_cluster_above() -> None:
    """Brokers up of those known, partitions in trouble, messages and bytes a second."""
    lines = lines_of(View())
    place = next(n for n, line in enumerate(lines) if line.startswith("cluster"))
    assert lines[place + 1].split()[:6] == ["hurt", "2/3", "72", "1", "100.0", "1.00MB"]
    assert lines[place + 2].split()[:6] == ["fine", "3/3", "0", "0", "5,000", "2.00MB"]
    assert place < next(n for n, line in enumerate(lines) if line.startswith("sink"))


def test_the_groups_with_the_most_lag_are_shown_until_another_order_is_chosen() -> None:
    """In messages, in seconds, how it grows, and how long nothing is lost."""
    view = View()
    place = next(n for n, line in enumerate(lines_of(view)) if line.startswith("group")) + 1
    assert lines_of(view)[place].split() == ["fine/group-29", "29", "1.0", "s", "-3.0/s", "-", "-"]
    view.press("s", KAFKA)
    assert lines_of(view)[place].split() == [
        "hurt/billing", "5", "2h", "+12.0/s", "1m", "30s", "losing",
    ]  # fmt: skip


def test_lost_messages_are_shown_where_a_group_loses_any() -> None:
    """Beside how long nothing is lost; no column of zeros."""
    view = View()
    heads = next(line for line in lines_of(view) if line.startswith("group"))
    assert "lost" not in heads
    view.press("s", KAFKA)
    lost = np.array([0.0] * 29 + [np.nan, 1234.0])
    groups = replace(KAFKA.groups, figures={**KAFKA.groups.figures, "lost": lost})
    lines = shown(replace(KAFKA, groups=groups), 80, 24, view=view).splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("group"))
    assert lines[place].split()[-2:] == ["lost", "state"]
    assert lines[place + 1].split()[-2:] == ["1,234", "losing"]


def test_names_are_filtered_as_they_are_typed() -> None:
    """In every part; escape shows all again."""
    view = View(keys=True)
    for key in ["/", *"BILL"]:
        view.press(key, KAFKA)
    assert "names with BILL" in lines_of(view)[-1]
    view.press("enter", KAFKA)
    text = "\n".join(lines_of(view))
    assert "hurt/billing" in text
    assert "fine/group" not in text
    view.press("escape", KAFKA)
    assert "fine/group" in "\n".join(lines_of(view))


def test_a_part_scrolls_to_its_last_row_and_no_further() -> None:
    """And back by as many."""
    view = View()
    lines_of(view)
    view.press("end", KAFKA)
    text = "\n".join(lines_of(view))
    assert "fine/group-0 " in text
    assert "above" in text
    at_the_end = view.scrolled["groups"]
    view.press("down", KAFKA)
    lines_of(view)
    assert view.scrolled["groups"] == at_the_end
    view.press("home", KAFKA)
    assert "fine/group-29" in "\n".join(lines_of(view))


def test_a_paused_table_stays_and_says_so() -> None:
    """What comes meanwhile is shown when it goes on."""
    view = View()
    view.press("p", replace(KAFKA, clusters=(p.cluster("then"),)))
    assert "paused" in lines_of(view)[0]
    assert "then" in "\n".join(lines_of(view))
    view.press("p", KAFKA)
    assert "then" not in "\n".join(lines_of(view))


def test_a_wide_terminal_shows_more_beside_each_other() -> None:
    """Kafka to the left, the job's own parts to the right with their errors."""
    lines = lines_of(View(), 200, 50)
    heads = next(line for line in lines if line.startswith("cluster"))
    assert heads.index("health") < heads.index("sink")
    beside = [line for line in lines if "connection" in line]
    assert any(not line.startswith("newrelic") for line in beside), lines
    assert heads.index("sink") > 100, "names of clusters have the room"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_a_sinks_error_is_a_line_of_its_own(width: int, height: int) -> None:
    """Beside the figures there is room for a word of it at most."""
    assert "newrelic: connection refused" in lines_of(View(), width, height)


def test_the_last_frame_says_that_the_job_ended() -> None:
    """Whatever was looked at, and without what keys do."""
    ended = shown(replace(KAFKA, ended="ended"), view=View(keys=True)).splitlines()
    assert ended[0].endswith("ended")
    assert "scroll" not in ended[-1]


def test_queues_stand_where_groups_do_the_deepest_first() -> None:
    """Depth, unacknowledged, rates, age and state; the cluster shows its nodes and alarms.

    Before them stands what nobody can use. What is not known of RabbitMQ has no column.
    """
    picture = replace(
        p.picture(targets=(), pools=(), sinks=(), clusters=(p.cluster("shop"),)),
        figures={
            "shop": Figures(up=2, known=3, offline=1, messages=10.0, alarms=1, dead_lettered=0.5)
        },
        queues=FigureTable(
            ["shop/a", "shop/b"],
            ["running", "down"],
            {
                "depth": np.array([5.0, np.nan]),
                "unacknowledged": np.array([2.0, np.nan]),
                "in": np.array([3.0, np.nan]),
                "out": np.array([4.0, np.nan]),
                "seconds": np.array([60.0, np.nan]),
                "consumers": np.array([1.0, np.nan]),
            },
        ),
    )
    lines = shown(picture, 100, 24).splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("cluster"))
    heads = ["cluster", "nodes", "offline", "alarms", "dead/s", "msgs/s", "tick"]
    assert lines[place].split()[:7] == heads
    assert lines[place + 1].split()[:6] == ["shop", "2/3", "1", "1", "0.5", "10.0"]
    place = next(n for n, line in enumerate(lines) if line.startswith("queue"))
    assert lines[place + 1].split() == ["shop/b", "-", "-", "-", "-", "-", "down"]
    assert lines[place + 2].split() == ["shop/a", "5", "2", "3.0", "4.0", "1m", "running"]
