"""The report's page: whole in itself, safe with any name, and complete."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from flows.drawing.library import VERSION, png
from flows.drawing.page import Plot
from flows.report.anomalies import anomalies
from flows.report.gaps import gaps
from flows.report.overview import overview
from flows.report.page import page
from flows.report.plots import MOST_CLUSTERS, plots_of
from flows.report.summary import Summary, summarize
from flows.report.worst import worst
from flows.samples import find_samples
from flows.visible import visible
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    COLLECTION,
    CONSUMER_GROUP,
    GROUP_TOPIC,
    NODE,
    QUEUE,
)
from tests.hybrid_morning import cluster_rows, hybrid, rows, truth, write
from tests.samples import INTERVAL

HOSTILE = """</script><img src=x onerror=alert(1)>'"\\"""


def drawn(path: Path) -> tuple[Summary, list[Plot], str]:
    """Summary, plots and page of the samples below a path, without the drawing library."""
    summary = summarize(find_samples(str(path)))
    found, missing = anomalies(summary), gaps(summary)
    table = overview(summary, found, missing)
    plots = plots_of(summary, found, missing, table["cluster"].to_list())
    return summary, plots, page(summary, table, plots, found, missing, "/* library */")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, list[Plot], str]:
    """The report of the hybrid morning."""
    return drawn(truth(hybrid(tmp_path_factory.mktemp("page"))))


class Elements(HTMLParser):
    """All elements of a page with their attributes, and what scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


def test_page_loads_nothing_from_elsewhere(report: tuple[Summary, list[Plot], str]) -> None:
    """No element has a source or a link out, and the browser is told to refuse any."""
    elements = Elements(report[2]).elements
    sources = [a.get("src") or a.get("href") for _, a in elements if "src" in a or "href" in a]
    assert [s for s in sources if s and not s.startswith(("#", "data:"))] == []
    assert "default-src 'none'" in report[2]


def test_each_plot_has_its_place_and_its_specification(
    report: tuple[Summary, list[Plot], str],
) -> None:
    """Places and specifications are the same set, and names are unique."""
    _, plots, text = report
    found = Elements(text)
    places = [a["data-plot"] for _, a in found.elements if "data-plot" in a]
    names = [plot.name for plot in plots]
    assert places == names
    assert list(json.loads(found.scripts["plots"])) == names
    assert len(set(names)) == len(names)


def test_each_cluster_has_traffic_lag_groups_brokers_health_and_coverage(
    report: tuple[Summary, list[Plot], str],
) -> None:
    """What the report promises of a Kafka cluster is there, and of the fleet."""
    names = {plot.name for plot in report[1]}
    for cluster in ("prod-eu", "prod-us", "sim-eu"):
        for kind in ("traffic", "lag", "groups", "brokers", "health", "partitions", "coverage"):
            assert f"cluster-{cluster}-{kind}" in names
    assert {f"fleet-{kind}" for kind in ("traffic", "lag", "health", "coverage", "anomalies")} <= (
        names
    )


def marked(plot: Plot, style: str) -> int:
    """How many rows a plot marks in a style."""

    def layers(spec: dict[str, Any], data: Any) -> Any:
        data = spec.get("data", data)
        if isinstance(spec.get("mark"), dict) and spec["mark"].get("style") == style:
            yield len(data["values"])
        for layer in spec.get("layer", ()):
            yield from layers(layer, data)

    return sum(layers(plot.spec, None))


def test_marks_are_on_the_plots_of_what_they_concern(
    report: tuple[Summary, list[Plot], str],
) -> None:
    """Fills on the filled cluster, a gap on the silent one, the anomaly on the simulated one."""
    plots = {plot.name: plot for plot in report[1]}
    for kind in ("traffic", "lag", "groups"):
        counts = {
            cluster: tuple(
                marked(plots[f"cluster-{cluster}-{kind}"], style)
                for style in ("filled", "gap", "anomaly")
            )
            for cluster in ("prod-eu", "prod-us", "sim-eu")
        }
        assert counts == {"prod-eu": (1, 0, 0), "prod-us": (0, 1, 0), "sim-eu": (0, 0, 1)}


def test_line_is_broken_in_a_gap(report: tuple[Summary, list[Plot], str]) -> None:
    """There is a row without a value between the last sample before and the first after."""
    plots = {plot.name: plot for plot in report[1]}
    broken = [
        any(line.count(",,") > 3 for line in plots[name].spec["data"]["values"].splitlines())
        for name in ("cluster-prod-us-traffic", "cluster-prod-eu-traffic")
    ]
    assert broken == [True, False]


def test_tables_list_anomaly_gap_and_failed_targets(
    report: tuple[Summary, list[Plot], str],
) -> None:
    """What the plots mark can be read too."""
    text = report[2]
    assert "<td>broker_down</td><td>sim-eu/broker-2</td>" in text
    assert '<td>prod-us</td><td>cluster</td><td class="n">20</td>' in text
    assert "broker-1:9092: no answer in 10 s" in text


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Names come from clusters that the reader may not trust; none of them becomes markup."""
    name = HOSTILE.replace("/", "")
    write(tmp_path, [*cluster_rows(name, range(10), anomaly=HOSTILE)], "p")
    _, plots, text = drawn(tmp_path)
    found = Elements(text)
    assert "img" not in {tag for tag, _ in found.elements}
    assert json.loads(found.scripts["plots"]) == {plot.name: plot.spec for plot in plots}
    assert re.findall("</script", text) == ["</script"] * 4


@pytest.mark.parametrize("odd", ["\r", "\n", "\u2028", "\x1b[2J", "\x00", "'\"\\", "\\u", "](a)[b"])
def test_a_plot_is_drawn_whatever_a_group_is_called(tmp_path: Path, odd: str) -> None:
    """Its name is text in the data and in expressions, and shows as a series."""
    name = f"a{odd}b"
    ticks = range(20)
    group = rows(CONSUMER_GROUP, "mq", ticks, name, consumerGroup__totalLag=7)
    write(tmp_path, [*cluster_rows("mq", ticks), group])
    _, plots, _ = drawn(tmp_path)
    (plot,) = [plot for plot in plots if plot.name == "cluster-mq-groups"]
    svg = vl_convert.vegalite_to_svg(plot.spec | {"width": 500}, vl_version=VERSION)
    assert visible(name) in html.unescape(svg)
    small = png(plot.spec, plot.title, plot.note, width=300, scale=0.5)
    assert small.startswith(b"\x89PNG")


def plot_of(path: Path, name: str) -> Plot:
    """One plot of the samples below a path."""
    (plot,) = [plot for plot in drawn(path)[1] if plot.name == name]
    return plot


def texts(plot: Plot) -> list[str]:
    """What a plot's bands are called."""
    return [
        row["name"]
        for layer in plot.spec["layer"]
        if layer["mark"]["type"] == "text"
        for row in layer["data"]["values"]
    ]


def lag_of(names: dict[str, list[int]]) -> list[Any]:
    """Samples of groups with a lag each at every tick; seconds are a hundredth of it."""
    return [
        rows(CONSUMER_GROUP, "eu", range(len(lag)), name, consumerGroup__totalLag=lag,
             consumerGroup__lagSeconds=[n / 100 for n in lag])
        for name, lag in names.items()
    ]  # fmt: skip


def test_lag_is_plotted_in_messages_and_in_seconds_a_band_a_group(tmp_path: Path) -> None:
    """Each band has its name, its highest value and the unit."""
    write(tmp_path, lag_of({"audit": [500] * 50, "billing": [7_000] * 50}))
    assert texts(plot_of(tmp_path, "cluster-eu-groups")) == [
        "billing  highest 7k messages",
        "audit  highest 500 messages",
    ]
    assert texts(plot_of(tmp_path, "cluster-eu-groups-seconds")) == [
        "billing  highest 70 s",
        "audit  highest 5 s",
    ]


def test_a_spike_does_not_flatten_the_rest(tmp_path: Path) -> None:
    """A band and the cluster's line are cut off well above what is usual, marked, and say so."""
    lag = [100 + tick % 7 for tick in range(100)]
    lag[50] = 1_000_000
    cluster = rows(CLUSTER, "eu", range(100), cluster__totalLag=lag)
    write(tmp_path, [cluster, *lag_of({"audit": lag})])
    bands = plot_of(tmp_path, "cluster-eu-groups")
    assert texts(bands) == ["audit  highest 1M messages, cut off at 424 messages"]
    assert marked(bands, "cut") == 1
    line = plot_of(tmp_path, "cluster-eu-lag")
    assert "cut off at 424; its highest is 1M" in line.note
    assert marked(line, "cut") == 1
    write(tmp_path / "level", lag_of({"audit": [100] * 100}))
    assert marked(plot_of(tmp_path / "level", "cluster-eu-groups"), "cut") == 0


def test_a_broker_that_gives_nothing_is_hatched(tmp_path: Path) -> None:
    """In the cells in which others give something, and in no other."""
    down = range(40, 60)
    batches = [
        rows(BROKER, "eu", [t for t in range(100) if broker != 2 or t not in down], broker,
             broker__cpuUsage=9.0)
        for broker in (1, 2)
    ]  # fmt: skip
    write(tmp_path, batches)
    summary = drawn(tmp_path)[0]
    ticks = summary.cell_buckets.width // INTERVAL
    assert marked(plot_of(tmp_path, "cluster-eu-brokers"), "missing") == len(down) // ticks


def test_groups_on_topics_are_drawn_where_they_say_more_than_the_groups(tmp_path: Path) -> None:
    """Not where each group reads one topic: that would be the same picture again."""

    def on(topics: dict[str, int]) -> list[Any]:
        return [
            rows(GROUP_TOPIC, "eu", range(20), f"audit/{topic}", consumerGroup__totalLag=lag)
            for topic, lag in topics.items()
        ]

    audit = lag_of({"audit": [30] * 20})
    write(tmp_path / "one", [*audit, *on({"orders": 30})])
    write(tmp_path / "two", [*audit, *on({"orders": 20, "invoices": 10})])
    there = [
        "cluster-eu-group-topics" in {plot.name for plot in drawn(tmp_path / name)[1]}
        for name in ("one", "two")
    ]
    assert there == [False, True]


def test_one_cluster_has_figures_and_no_table_of_one_row(tmp_path: Path) -> None:
    """Nothing stands twice: neither a plot of the fleet nor a row for what the figures say."""
    write(tmp_path, cluster_rows("eu", range(20)))
    _, plots, text = drawn(tmp_path)
    assert {plot.cluster for plot in plots} == {"eu"}
    assert "<dt>lowest health</dt><dd>99.0</dd>" in text
    assert "<th>cluster</th>" not in text
    assert text.index('id="worst"') < text.index('id="fleet"')


def test_groups_table_reports_what_may_be_lost(tmp_path: Path) -> None:
    """The least margin, the longest time to catch up, and what was lost in all."""
    group = rows(CONSUMER_GROUP, "eu", range(3), "audit", consumerGroup__totalLag=9,
                 consumerGroup__lagSeconds=5.0, consumerGroup__lostMessages=[0, 3, 4],
                 consumerGroup__marginSeconds=[90.0, 50.0, 70.0],
                 consumerGroup__catchUpSeconds=[20.0, 30.0, 10.0])  # fmt: skip
    text = drawn(write(tmp_path, [group]))[2]
    cells = "".join(
        f'<td class="n">{cell}</td>' for cell in ("9", "5.0", "7", "50", "30", "9", "–")
    )
    assert f"<td>audit</td>{cells}" in text


@pytest.mark.parametrize("others", [(), ("eu",)])
def test_a_cluster_that_never_answered_has_no_picture_and_is_reported(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    """There is nothing of it but why; alone, too, it has a page."""
    failed = [
        rows(COLLECTION, "down", range(5), kind, collection__ok=0, collection__errorClass="refused")
        for kind in ("brokers", "topics", "groups")
    ]
    there = [batch for name in others for batch in cluster_rows(name, range(5))]
    summary, plots, text = drawn(write(tmp_path, [*failed, *there]))
    assert [plot for plot in plots if plot.cluster == "down"] == []
    assert "refused" in text
    (silent,) = [line for line in worst(summary, gaps(summary)) if line.what == "never answered"]
    assert (silent.where, silent.value) == ("down", "15 failed ticks: refused")


def test_a_band_is_broken_where_there_is_nothing(
    report: tuple[Summary, list[Plot], str],
) -> None:
    """Drawn, too: without a scale what is null would reach to the top."""
    plot = next(p for p in report[1] if p.name == "cluster-prod-eu-groups")
    vega = json.dumps(vl_convert.vegalite_to_vega(plot.spec))
    assert 'isValid(datum[\\"y0\\"])' in vega


def test_nodes_have_a_table(tmp_path: Path) -> None:
    """Of RabbitMQ: whether it was down, its alarms, and how near it came to its limits."""
    node = rows(NODE, "mq", range(3), "rabbit@a", node__running=[1, 0, 1],
                node__totalMemoryUsedInBytes=2_000_000, node__hostMemoryAlarm=0)  # fmt: skip
    text = drawn(write(tmp_path, [node]))[2]
    assert "<summary>Nodes</summary>" in text
    assert '<td>rabbit@a</td><td class="n">yes</td><td class="n">no</td>' in text
    assert '<td class="n">2.00MB</td>' in text


def test_queues_that_were_down_stand_first_in_their_table(tmp_path: Path) -> None:
    """Whatever they held: while nobody can use one, that is not known."""
    full = rows(QUEUE, "mq", range(3), "full", queue__depth=9_000, queue__state="running")
    down = rows(QUEUE, "mq", range(3), "gone", queue__state=["running", "down", "running"])
    text = drawn(write(tmp_path, [full, down]))[2]
    gone, others = text.index('<td>gone</td><td class="n">yes</td>'), text.index("<td>full</td>")
    assert gone < others


def test_no_name_of_a_cluster_takes_a_plot_of_the_fleet(tmp_path: Path) -> None:
    """A cluster may be called `fleet`, or like another with a plot's kind behind it."""
    for number, name in enumerate(("fleet", "a", "a-lag")):
        write(tmp_path, cluster_rows(name, range(5)), f"p{number}")
    names = [plot.name for plot in drawn(tmp_path)[1]]
    assert len(set(names)) == len(names)


def test_queues_of_other_providers_have_plots(tmp_path: Path) -> None:
    """A cluster of queues has traffic, depth and coverage, and no brokers."""
    ticks = range(20)
    write(
        tmp_path,
        [
            rows(CLUSTER, "mq", ticks, cluster__messagesInPerSecond=5.0, cluster__totalLag=7),
            rows(QUEUE, "mq", ticks, "jobs", queue__depth=7),
        ],
    )
    names = [plot.name for plot in drawn(tmp_path)[1] if plot.cluster]
    assert names == [f"cluster-mq-{kind}" for kind in ("traffic", "lag", "queues", "coverage")]


def test_page_is_bounded_in_the_number_of_clusters(tmp_path: Path) -> None:
    """Of many clusters all are in the table; the drawn ones are as many as the command gives."""
    many = MOST_CLUSTERS + 5
    write(
        tmp_path,
        [
            rows(CLUSTER, f"c{n}", range(3), cluster__messagesInPerSecond=float(n))
            for n in range(many)
        ],
    )
    summary = summarize(find_samples(str(tmp_path)))
    table = overview(summary, [], [])
    plots = plots_of(summary, [], [], table["cluster"].to_list()[:MOST_CLUSTERS])
    text = page(summary, table, plots, [], [], "")
    assert text.count('class="cluster"') == MOST_CLUSTERS
    assert all(f">c{n}<" in text for n in range(many))
    assert "with the most messages" in text
