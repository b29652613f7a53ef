"""The last figures of clusters and groups, read from the batches that pass."""

from math import isnan

import pyarrow as pa

from flows.observe.latest_figures import LatestFigures
from operators.schema.arrow import sample_batch
from operators.schema.metrics import CLUSTER, CONSUMER_GROUP, QUEUE, EntityType


def batch(entity_type: EntityType, rows: list[dict[str, object]]) -> pa.RecordBatch:
    """Rows of which only some columns are known; `timestamp` is in milliseconds."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return sample_batch(entity_type, len(rows), columns)


def group(tick: int, name: str, lag: int | None) -> dict[str, object]:
    return {"timestamp": tick, "entity_name": name, "consumerGroup.totalLag": lag}


def test_the_latest_tick_counts() -> None:
    """Of a batch with several ticks its last; a batch of an earlier tick changes nothing."""
    standing = LatestFigures()
    rows = [group(1000, "a/g", 5), group(2000, "a/g", 7), group(1000, "a/gone", 1)]
    standing.saw("a", batch(CONSUMER_GROUP, rows))
    standing.saw("a", batch(CONSUMER_GROUP, [group(1500, "a/g", 99)]))
    _, groups, _ = standing.figures()
    assert groups.names == ["a/g"]
    assert groups.figure("lag", 0) == 7


def test_clusters_stand_beside_each_other_and_rows_of_a_tick_add_up() -> None:
    """A filled row comes after the collected ones of its tick; of two of one group the last counts."""
    standing = LatestFigures()
    standing.saw("a", batch(CONSUMER_GROUP, [group(1000, "a/g", 5)]))
    standing.saw("b", batch(CONSUMER_GROUP, [group(3000, "b/g", None)]))
    standing.saw("a", batch(CONSUMER_GROUP, [group(1000, "a/h", 6), group(1000, "a/g", 8)]))
    _, groups, _ = standing.figures()
    lags = {name: groups.figure("lag", place) for place, name in enumerate(groups.names)}
    assert (lags["a/g"], lags["a/h"]) == (8, 6)
    assert isnan(lags["b/g"])


def test_a_clusters_figures_are_read_anew_when_they_changed() -> None:
    """What was not measured is not a number."""
    standing = LatestFigures()
    assert standing.figures()[0] == {}
    for tick, up in ((1000, 3), (2000, 2)):
        row = {"timestamp": tick, "entity_name": "a", "cluster.activeBrokerCount": up}
        standing.saw("a", batch(CLUSTER, [row]))
        clusters, *_ = standing.figures()
        assert clusters["a"].up == up
    assert isnan(clusters["a"].offline)
    assert standing.figures()[0] is clusters


def test_nodes_and_queues_of_rabbitmq_stand_for_brokers_and_partitions() -> None:
    """Nodes up of those known, queues that nobody can use, alarms; and the queues themselves."""
    standing = LatestFigures()
    row = {
        "timestamp": 1000,
        "entity_name": "r",
        "cluster.nodeCount": 3,
        "cluster.runningNodeCount": 2,
        "cluster.queueCount": 8,
        "cluster.availability": 75.0,
        "cluster.alarmCount": 1,
    }
    standing.saw("r", batch(CLUSTER, [row]))
    queue = {"timestamp": 1000, "entity_name": "r/orders", "queue.depth": 9, "queue.state": "down"}
    standing.saw("r", batch(QUEUE, [queue]))
    clusters, groups, queues = standing.figures()
    now = clusters["r"]
    assert (now.up, now.known, now.offline, now.alarms) == (2, 3, 2, 1)
    assert groups.names == ()
    assert (queues.names, queues.states) == (["r/orders"], ["down"])
    assert queues.figure("depth", 0) == 9
