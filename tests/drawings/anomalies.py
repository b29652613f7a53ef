"""A picture of a day with each kind of anomaly: cause above effect, with and without it.

Each is simulated twice, with the anomaly (10:00 to 12:00 UTC) and without it (grey). A row is one
metric of one entity, from the cause at the top to the last effect; to the left the whole day, to
the right the anomaly. Under the picture's title stands when each row first departed from the calm
day by more than a fiftieth of what it departs at most.

    python -m tests.drawings.anomalies [--out DIR] [--format png|svg] [KIND …]
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC, EntityType
from operators.simulate.anomalies.kinds import KINDS
from operators.simulate.settings import SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import shards
from operators.ticks import Ticks
from tests.drawings.vega import BLUE, GREY, ORANGE, Spec, draw
from tests.samples import HOUR, INTERVAL, MONDAY

BEGIN, END = 10 * HOUR, 12 * HOUR
NEAR = (BEGIN - HOUR // 2, END + HOUR)
FLEET = {"name": "sim", "brokers": 5, "topics": 7, "groups": 3, "pattern": "business_hours"}
DAY_STEP = 12
"""Of the whole day every so many ticks are drawn."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric of one entity, by its path in the cluster."""

    entity_type: EntityType
    entity: str
    metric: str

    @property
    def title(self) -> str:
        """What is drawn."""
        return f"{self.entity or 'cluster'}: {self.metric}"


def cluster(metric: str) -> Panel:
    """A metric of the cluster."""
    return Panel(CLUSTER, "", f"cluster.{metric}")


def broker(number: int, metric: str) -> Panel:
    """A metric of a broker."""
    return Panel(BROKER, f"broker-{number}", metric)


def topic(name: str, metric: str) -> Panel:
    """A metric of a topic."""
    return Panel(TOPIC, name, f"topic.{metric}")


def group(name: str, metric: str) -> Panel:
    """A metric of a group."""
    return Panel(CONSUMER_GROUP, name, f"consumerGroup.{metric}")


CHAINS: Mapping[str, tuple[str, Sequence[Panel]]] = {
    "spike": (
        "orders",
        [
            topic("orders", "messagesInPerSecond"),
            broker(1, "broker.IOInPerSecond"),
            broker(1, "request.produceTime99Percentile"),
            group("billing", "totalLag"),
            cluster("totalLag"),
        ],
    ),
    "drop": (
        "orders",
        [
            topic("orders", "messagesInPerSecond"),
            topic("orders", "errorRate"),
            broker(1, "broker.IOInPerSecond"),
            group("billing", "messagesConsumedPerSecond"),
            cluster("errorRate"),
        ],
    ),
    "partition_skew": (
        "orders",
        [
            broker(5, "broker.messagesInPerSecond"),
            broker(3, "broker.messagesInPerSecond"),
            group("billing", "maxLag"),
            group("billing", "totalLag"),
            cluster("totalLag"),
        ],
    ),
    "poison_message": (
        "payments",
        [
            topic("payments", "errorRate"),
            group("search-indexer", "membershipChanges"),
            group("search-indexer", "messagesConsumedPerSecond"),
            group("search-indexer", "lagSeconds"),
            cluster("totalLag"),
        ],
    ),
    "consumer_stall": (
        "billing",
        [
            group("billing", "messagesConsumedPerSecond"),
            group("billing", "totalLag"),
            group("billing", "lagSeconds"),
            topic("orders", "messagesOutPerSecond"),
            cluster("totalLag"),
        ],
    ),
    "slow_drain": (
        "billing",
        [
            group("billing", "messagesConsumedPerSecond"),
            group("billing", "lagTrend"),
            group("billing", "totalLag"),
            group("billing", "lagSeconds"),
            cluster("totalLag"),
        ],
    ),
    "rebalance_storm": (
        "billing",
        [
            group("billing", "membershipChanges"),
            group("billing", "activeConsumers"),
            group("billing", "messagesConsumedPerSecond"),
            group("billing", "totalLag"),
            group("billing", "lagSeconds"),
        ],
    ),
    "broker_down": (
        "broker-2",
        [
            cluster("activeBrokerCount"),
            cluster("underReplicatedPartitions"),
            broker(3, "broker.leaderCount"),
            broker(3, "broker.cpuUsage"),
            broker(3, "request.produceTime99Percentile"),
            cluster("totalLag"),
        ],
    ),
    "unclean_election": (
        "broker-2",
        [
            broker(2, "replication.unreplicatedPartitions"),
            broker(1, "replication.uncleanLeaderElectionPerSecond"),
            cluster("activeBrokerCount"),
            broker(3, "broker.leaderCount"),
            cluster("errorRate"),
        ],
    ),
    "cpu_spike": (
        "broker-2",
        [
            broker(2, "broker.cpuUsage"),
            broker(2, "request.handlerIdle"),
            broker(2, "request.avgTimeProduceRequest"),
            broker(2, "broker.memoryUsage"),
            broker(3, "broker.cpuUsage"),
        ],
    ),
    "memory_leak": (
        "broker-2",
        [
            broker(2, "broker.memoryUsage"),
            broker(2, "broker.cpuUsage"),
            broker(2, "request.avgTimeProduceRequest"),
        ],
    ),
    "disk_full": (
        "broker-2",
        [
            broker(2, "net.bytesRejectedPerSecond"),
            broker(2, "request.produceRequestsFailedPerSecond"),
            broker(2, "broker.messagesInPerSecond"),
            topic("orders", "errorRate"),
            cluster("messagesInPerSecond"),
            group("billing", "messagesConsumedPerSecond"),
        ],
    ),
    "network_congestion": (
        "broker-2",
        [
            broker(2, "request.avgTimeFetch"),
            broker(3, "replication.unreplicatedPartitions"),
            cluster("underReplicatedPartitions"),
            group("billing", "messagesConsumedPerSecond"),
            group("billing", "totalLag"),
        ],
    ),
    "latency_spike": (
        "broker-2",
        [
            broker(2, "request.avgTimeProduceRequest"),
            broker(2, "broker.cpuUsage"),
            broker(2, "broker.memoryUsage"),
            broker(3, "request.avgTimeProduceRequest"),
        ],
    ),
}
"""By kind: where it starts, and the rows of its picture."""


def day(anomalies: Sequence[Mapping[str, Any]]) -> dict[EntityType, pl.DataFrame]:
    """A day's samples by entity type, `time` in ms since midnight."""
    settings = {"seed": 42, "fleets": [FLEET], "anomalies": list(anomalies)}
    shard = Shard(shards(SimulationSettings.model_validate(settings))[0], None)
    made = shard.step(Ticks("sim", MONDAY, INTERVAL, 24 * HOUR // INTERVAL))
    frames = {}
    for batch in made:
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        time = pl.col("timestamp").cast(pl.Int64) - MONDAY
        name = pl.col("entity_name").cast(pl.String).str.strip_prefix("sim").str.strip_prefix("/")
        frames[entity_type_of(batch)] = frame.with_columns(time=time, entity=name)
    return frames


def compared(panel: Panel, calm: Any, real: Any) -> pl.DataFrame:
    """Columns `time`, `calm` and `real` of a panel."""
    each = [
        days[panel.entity_type]
        .filter(pl.col("entity") == panel.entity)
        .select("time", pl.col(panel.metric).cast(pl.Float64).alias(name))
        for name, days in (("calm", calm), ("real", real))
    ]
    joined: pl.DataFrame = each[0].join(each[1], on="time").sort("time")
    return joined


def departure(frame: pl.DataFrame) -> str:
    """When the real values first leave the calm ones, as minutes after the anomaly's start."""
    by = (pl.col("real").fill_null(0) - pl.col("calm")).abs()
    most = frame.select(by.max()).item()
    if not most:
        return "never"
    first = frame.filter(by > most / 50)["time"].min()
    assert isinstance(first, int)
    return f"+{(first - BEGIN) / 60_000:g} min"


def plot(kind: str) -> tuple[Spec, list[str]]:
    """The picture of a kind, and when each of its rows departs."""
    root, panels = CHAINS[kind]
    start = f"2026-01-05T{BEGIN // HOUR:02}:00:00Z"
    wrong = {"kind": kind, "entity": f"sim/{root}", "start": start, "duration": "2h"}
    calm, real = day([]), day([wrong])
    rows, departures = [], []
    for panel in panels:
        frame = compared(panel, calm, real)
        departures.append(f"{departure(frame):>10}  {panel.title}")
        near = frame.filter(pl.col("time").is_between(*NEAR))
        sides = (
            (frame.gather_every(DAY_STEP), (0, 24 * HOUR), 4 * HOUR, 300),
            (near, NEAR, HOUR // 2, 460),
        )
        rows.append({"hconcat": [_side(*side, panel.title) for side in sides]})
    title = {"text": f"{kind} at {root}, {BEGIN // HOUR}:00 to {END // HOUR}:00", "anchor": "start"}
    return {"title": title, "vconcat": rows, "spacing": 6}, departures


def _side(frame: pl.DataFrame, span: tuple[int, int], step: int, width: int, title: str) -> Spec:
    hour = "format(floor(datum.value / 3600000), '02') + utcFormat(datum.value, ':%M')"
    ticks = list(range(-(-span[0] // step) * step, span[1] + 1, step))
    axis = {"title": None, "labelExpr": hour, "values": ticks, "grid": False}
    x = {"field": "time", "type": "quantitative", "axis": axis}
    x["scale"] = {"domain": list(span), "nice": False}
    y = {"type": "quantitative", "axis": {"title": None, "tickCount": 3, "format": "~s"}}
    layers: list[Spec] = [
        {
            "data": {"values": [{"time": BEGIN, "end": END}]},
            "mark": {"type": "rect", "color": ORANGE, "opacity": 0.12},
            "encoding": {"x": x, "x2": {"field": "end"}},
        }
    ]
    layers += [
        {
            "mark": {"type": "line", "color": colour, "strokeWidth": 1.1},
            "encoding": {"x": x, "y": {"field": name, **y}},
        }
        for name, colour in (("calm", GREY), ("real", BLUE))
    ]
    rounded = frame.with_columns(pl.col("calm", "real").round_sig_figs(4))
    return {
        "title": {"text": title, "fontSize": 11, "fontWeight": "normal", "offset": 2},
        "width": width,
        "height": 78,
        "data": {"values": rounded.to_dicts()},
        "layer": layers,
    }


def main() -> None:
    """Draw the pictures and print when their rows depart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--format", choices=["png", "svg"], default="png")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for kind in options.kinds or CHAINS:
        spec, departures = plot(kind)
        draw(spec, options.out / f"{kind}.{options.format}")
        print(kind, *departures, sep="\n", flush=True)


if __name__ == "__main__":
    main()
