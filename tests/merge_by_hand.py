"""A merge to be fed by hand: ticks, results, and everything that it emitted as rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from operators.collect.expected import kafka_servers
from operators.collect.settings import ExpectSettings
from operators.merge.cluster import ClusterMerge
from operators.merge.like import Like
from operators.merge.plan import Plan
from operators.merge.settings import FillSettings
from operators.schema.arrow import TIMESTAMP, sample_batch
from operators.schema.guid import entity_guid
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC
from operators.ticks import KAFKA_KINDS, Outcome, TickResult, Ticks

INTERVAL = 30_000
T = 1_000 * INTERVAL
KINDS = ("brokers", "topics", "groups")
OF = {"brokers": BROKER, "topics": TOPIC, "groups": CONSUMER_GROUP}
EXPECT = ExpectSettings(brokers=(1, 2), topics=("orders",), groups=("billing",))


def samples(kind: str, tick: int, names: Iterable[Any], rate: float = 10.0) -> pa.RecordBatch:
    """Collected samples of one kind at one tick."""
    names = list(names)
    entity_type = OF[kind]
    parts = [f"broker-{n}" if kind == "brokers" else n for n in names]
    columns: dict[str, Any] = {
        "timestamp": pa.array([tick] * len(names), TIMESTAMP),
        "entity_guid": [entity_guid(None, entity_type.name, "kafka", "prod", p) for p in parts],
        "entity_name": [f"prod/{p}" for p in parts],
        "cluster_name": "prod",
        "provider": "kafka",
        "environment": "production",
        "origin": "collected",
        entity_type.identity[0].column: names,
    }
    match kind:
        case "brokers":
            columns["broker.messagesInPerSecond"] = [rate] * len(names)
        case "topics":
            columns["topic.messagesInPerSecond"] = [rate] * len(names)
            columns["topic.offset"] = [int(rate * tick / 1000)] * len(names)
            columns["topic.partitionCount"] = [6] * len(names)
    return sample_batch(entity_type, len(names), columns)


def part(tick: int, **metrics: float) -> pa.RecordBatch:
    """What one kind knows of the cluster's row."""
    columns: dict[str, Any] = {f"cluster.{name}": [value] for name, value in metrics.items()}
    columns["timestamp"] = pa.array([tick], TIMESTAMP)
    columns["entity_guid"] = [entity_guid(None, CLUSTER.name, "kafka", "prod")]
    return sample_batch(
        CLUSTER,
        1,
        {**columns, "origin": "collected", "cluster_name": "prod", "entity_name": "prod"},
    )


def due(kind: str, tick: int, missed: int = 0, count: int = 1) -> Ticks:
    return Ticks("prod", tick, INTERVAL, count, missed, kind)


def result(
    kind: str,
    tick: int,
    names: Iterable[Any] = (),
    outcome: Outcome = Outcome.COMPLETED,
    error: str | None = None,
    cluster: Mapping[str, float] | None = None,
    rate: float = 10.0,
    missed: int = 0,
) -> TickResult:
    batches = [samples(kind, tick, names, rate)]
    if outcome is Outcome.COMPLETED:
        batches.append(part(tick, **(cluster or {})))
    else:
        error = error or outcome.value
    return TickResult(
        due(kind, tick, missed), outcome, tuple(batches), error_class=error, error=error
    )


def kafka_plan(
    cluster: str = "prod",
    environment: str = "production",
    account_id: int | None = None,
    expect: ExpectSettings | None = None,
    like: Like = Like(),  # noqa: B008 - it is frozen
) -> Plan:
    """What the merge has to know of a Kafka cluster."""
    return Plan(
        cluster,
        environment,
        account_id,
        expect,
        like,
        provider="kafka",
        joined_kinds=KAFKA_KINDS,
        servers=kafka_servers(),
    )


@dataclass
class Harness:
    """A merge with everything that it emitted, as rows."""

    expect: ExpectSettings = EXPECT
    fill: FillSettings | None = FillSettings()
    catch_up: int | None = None
    plan: Plan = field(init=False)
    rows: list[dict[str, Any]] = field(default_factory=list)
    coverage: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plan = kafka_plan(expect=self.expect)
        self.start()

    def start(self, state: Any = None) -> None:
        self.merge = ClusterMerge(self.plan, self.fill, self.coverage.append, self.catch_up)
        if state is not None:
            self.merge.restore(state)

    def restart(self) -> None:
        self.start(self.merge.snapshot())

    def take(self, batches: Sequence[pa.RecordBatch]) -> list[dict[str, Any]]:
        for batch in batches:
            batch.validate(full=True)
        rows = [row for batch in batches for row in batch.to_pylist()]
        for row in rows:
            row["tick"] = round(row["timestamp"].timestamp() * 1000)
        self.rows += rows
        return rows

    def give(self, *values: Ticks | TickResult) -> list[dict[str, Any]]:
        return [
            row
            for v in values
            for row in self.take(
                self.merge.on_ticks(v) if isinstance(v, Ticks) else self.merge.on_result(v)
            )
        ]

    def wait(self, now: int) -> list[dict[str, Any]]:
        rows = self.take(self.merge.on_time(now))
        while self.merge.has_gaps:
            rows += self.take(self.merge.on_time(now))
        return rows

    def tick(
        self,
        tick: int,
        brokers: Any = (1, 2),
        topics: Any = ("orders",),
        groups: Any = ("billing",),
    ) -> list[dict[str, Any]]:
        """A tick at which every kind answers at once."""
        answers = {"brokers": brokers, "topics": topics, "groups": groups}
        return self.give(
            *(due(kind, tick) for kind in KINDS),
            *(result(kind, tick, names) for kind, names in answers.items()),
        )
