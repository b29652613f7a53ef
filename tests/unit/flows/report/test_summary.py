"""What a report keeps of samples: the same as plain sums and maxima of the rows."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.report.overview import overview
from flows.report.summary import (
    OF_BROKERS,
    OF_CLUSTERS,
    OF_GROUPS,
    OF_NODES,
    OF_QUEUES,
    OF_TOPICS,
    Summary,
    summarize,
)
from flows.samples import SamplesError, find_samples
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, NODE, QUEUE, TOPIC, EntityType
from tests.hybrid_morning import FILLED, GONE, LABEL, SICK, TICKS, cluster_rows, hybrid, rows, write
from tests.samples import INTERVAL, NEW_YEAR


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """The hybrid morning."""
    return summarize(find_samples(str(hybrid(tmp_path_factory.mktemp("hybrid")))))


def test_interval_and_span_are_those_of_the_samples(summary: Summary) -> None:
    """Two hours of 30 s are 240 buckets of a tick each."""
    assert summary.interval == INTERVAL
    assert (summary.buckets.start, summary.buckets.count) == (NEW_YEAR, TICKS)


def test_every_sample_is_counted_once_by_its_origin(summary: Summary) -> None:
    """Seven entities of three clusters, one without some ticks, late ones, and three targets."""
    counts = summary.tick_rows.group_by("origin").agg(pl.col("rows").sum()).sort("origin")
    collected = 7 * (2 * TICKS - len(FILLED) - len(GONE)) + 3 * TICKS + 3
    assert counts.rows() == [
        ("collected", collected),
        ("filled", 7 * len(FILLED)),
        ("simulated", 7 * TICKS),
    ]
    assert summary.tick_rows["late"].sum() == 3
    assert summary.rows == counts["rows"].sum()


def test_buckets_of_several_ticks_have_means_and_extremes(tmp_path: Path) -> None:
    """A day of a tick a minute: two ticks a bucket of 3 min would not be alike, three are."""
    ticks = range(0, 2 * 1440, 2)
    level = [float(n % 3) for n, _ in enumerate(ticks)]
    batch = rows(
        CLUSTER,
        "c",
        ticks,
        cluster__messagesInPerSecond=level,
        cluster__totalLag=[int(v) for v in level],
        cluster__healthScore=[90 + v for v in level],
    )
    summary = summarize(find_samples(str(write(tmp_path, [batch]))))
    assert (summary.interval, summary.buckets.width) == (60_000, 180_000)
    found = summary.clusters.select("messages", "peak", "lag", "health").unique()
    assert found.rows() == [(1.0, 2.0, 2, 90.0)]


def test_groups_are_ranked_by_lag_and_drawn_over_time(summary: Summary) -> None:
    """The highest lag first; the lags over time are the group's own."""
    own = summary.groups.filter(pl.col("cluster") == "prod-eu")
    assert own["entity"].to_list() == ["prod-eu/billing", "prod-eu/audit"]
    assert own["lag"].to_list() == [200 + (TICKS - 1) // 2, 100 + (TICKS - 1) // 2]
    lags = summary.lags.filter(pl.col("entity") == "prod-eu/audit")
    assert lags["lag"].to_list() == [100 + tick // 2 for tick in range(TICKS)]


def test_broker_cells_say_what_share_was_filled(summary: Summary) -> None:
    """A cell of a filled span is filled, one with a late sample in part, all others not."""
    own = summary.cells.filter(pl.col("entity") == "prod-eu/broker-2").sort("time")
    width = summary.cell_buckets.width // INTERVAL
    filled = own.filter(pl.col("filled") > 0)
    assert filled["time"].to_list() == [
        NEW_YEAR + tick * INTERVAL for tick in range(FILLED.start, FILLED.stop, width)
    ]
    assert set(filled["filled"]) == {1.0}
    late = summary.cells.filter(pl.col("entity") == "prod-eu/broker-1")
    assert late.filter((pl.col("filled") > 0) & (pl.col("filled") < 1)).height > 0


def test_labels_say_which_samples_an_anomaly_shaped(summary: Summary) -> None:
    """By entity type: from when to when, and how many."""
    found = summary.shaped.filter(pl.col("type") == "broker").row(0, named=True)
    assert found == {
        "type": "broker",
        "cluster": "sim-eu",
        "anomaly": LABEL,
        "rows": 3 * len(SICK),
        "first": NEW_YEAR + SICK.start * INTERVAL,
        "last": NEW_YEAR + (SICK.stop - 1) * INTERVAL,
    }


def test_targets_say_how_collection_went(summary: Summary) -> None:
    """By target and class of error, with the last cause."""
    failed = summary.targets.filter(pl.col("error_class") == "timeout")
    assert failed["kind"].to_list() == ["brokers", "groups", "topics"]
    assert set(failed["ticks"]) == {len(FILLED)}
    assert set(failed["error"]) == {"broker-1:9092: no answer in 10 s"}


def test_overview_has_one_row_a_cluster(summary: Summary) -> None:
    """Entities by type, samples, filled and late ones."""
    found = overview(summary, [], []).row(by_predicate=pl.col("cluster") == "prod-eu", named=True)
    expected = {
        "broker": 3,
        "topic": 1,
        "consumer_group": 2,
        "queue": 0,
        "entities": 7,
        "filled": 7 * len(FILLED),
        "late": 3,
        "samples": 10 * TICKS + 3,
        "measured": 7 * TICKS + 3,
        "lag": 300 + TICKS - 1,
        "provider": "kafka",
    }
    assert {key: found[key] for key in expected} == expected


def test_file_of_an_earlier_version_lacks_columns_and_is_read(tmp_path: Path) -> None:
    """A column that a file does not have is null in it, whichever file comes first."""
    write(tmp_path, cluster_rows("new", range(4)))
    [file] = (tmp_path / "type=cluster").rglob("*.parquet")
    table = pq.ParquetFile(file).read().drop_columns(["cluster.healthScore"])
    names = pa.array(["old"] * 4).dictionary_encode()
    table = table.set_column(table.schema.get_field_index("cluster_name"), "cluster_name", names)
    pq.write_table(table, file.with_name("a-old-000000.parquet"))
    found = summarize(find_samples(str(tmp_path))).clusters
    assert found.filter(pl.col("cluster") == "old")["health"].to_list() == [None] * 4
    assert found.filter(pl.col("cluster") == "new")["health"].to_list() == [99.0] * 4


def test_one_tick_of_one_entity_is_a_summary(tmp_path: Path) -> None:
    """The least there can be has one bucket, and no interval."""
    batch = rows(BROKER, "c", [5], 1, broker__cpuUsage=1.0)
    summary = summarize(find_samples(str(write(tmp_path, [batch]))))
    assert (summary.interval, summary.buckets.count, summary.rows) == (None, 1, 1)


@pytest.mark.parametrize("uri", ["nowhere", "s4://bucket"])
def test_no_samples_is_an_error_that_says_where_and_what_to_do(tmp_path: Path, uri: str) -> None:
    """A wrong path differs from a report of nothing."""
    with pytest.raises(SamplesError, match=uri):
        find_samples(str(tmp_path / uri) if "://" not in uri else uri)


@pytest.mark.parametrize(
    ("entity_type", "measures"),
    [
        (CLUSTER, OF_CLUSTERS),
        (BROKER, OF_BROKERS),
        (CONSUMER_GROUP, OF_GROUPS),
        (QUEUE, OF_QUEUES),
        (NODE, OF_NODES),
        (TOPIC, OF_TOPICS),
    ],
)
def test_every_measure_is_of_a_metric_of_the_table(
    entity_type: EntityType, measures: tuple[object, ...]
) -> None:
    """A metric that is renamed in the table is not silently missing from the report."""
    names = {metric.name for metric in entity_type.metrics}
    assert {m.metric for m in measures} <= names  # type: ignore[attr-defined]
