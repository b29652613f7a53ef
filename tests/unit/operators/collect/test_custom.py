"""Custom collectors: found by name, called with the time that is left, looked at."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from flows.config import Config
from operators.collect.custom import CustomCollector
from operators.collect.errors import CollectionError
from operators.collect.samples import ClusterIdentity, collected_batch
from operators.collect.settings import CollectorSettings
from operators.collect.step import Collectors
from operators.events import CollectedInPart
from operators.merge.cluster import ClusterMerge
from operators.merge.plan import Plan
from operators.merge.settings import FillSettings
from operators.plugins import PluginError
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, COLLECTION, QUEUE
from operators.ticks import Collected, Outcome, TickResult, Ticks
from tests.captured_logs import captured_logs

TICK = Ticks("jobs", 60_000, 30_000, kind="jobs")


def queue(identity: ClusterIdentity, tick: int, depth: int = 1) -> pa.RecordBatch:
    columns = {"queue": ["mail"], "queue.depth": [depth]}
    return collected_batch(identity, tick, QUEUE, [("mail",)], ["mail"], columns, "sqlite")


class Plain:
    """Blocks, as a database's driver does; records its thread and its end."""

    threads: list[str] = []  # noqa: RUF012
    closed = 0

    def __init__(self, identity: ClusterIdentity, depth: int = 1) -> None:
        self._identity = identity
        self._depth = depth

    def collect(self, tick: int, time_left: float) -> list[pa.RecordBatch]:
        assert time_left == 5.0
        self.threads.append(threading.current_thread().name)
        return [queue(self._identity, tick, self._depth)]

    def close(self) -> None:
        Plain.closed += 1


class Coroutine:
    """Awaits, on the loop of the pools."""

    def __init__(self, identity: ClusterIdentity) -> None:
        self._identity = identity

    async def collect(self, tick: int, time_left: float) -> list[pa.RecordBatch]:
        await asyncio.sleep(0)
        assert threading.current_thread() is threading.main_thread()
        return [queue(self._identity, tick)]


class Unclosable(Plain):
    """Raises at its end."""

    def close(self) -> None:
        raise OSError("gone")


def giving(made: Any) -> Callable[..., Any]:
    """A factory of collectors that give this."""

    class Giving:
        def collect(self, tick: int, time_left: float) -> Any:
            return made

    return lambda identity: Giving()


strings = giving(["no batch"])
foreign = giving([pa.RecordBatch.from_pydict({"a": [1]})])
odd = giving([queue(ClusterIdentity("jobs", "test", None), 0).append_column("more", pa.array([1]))])
nothing = giving(None)
lazy = giving(queue(ClusterIdentity("jobs", "test", None), 0) for _ in range(1))
number = 7


def broken(identity: ClusterIdentity) -> None:
    raise OSError("no database")


def without(identity: ClusterIdentity) -> object:
    return object()


def settings(use: str, **options: Any) -> CollectorSettings:
    return CollectorSettings(
        name="jobs", use=f"tests.unit.operators.collect.test_custom:{use}", options=options
    )


def collected(of: CollectorSettings) -> Collected:
    async def run() -> Collected:
        collector = CustomCollector(of, 7)
        try:
            return await collector.collect(TICK, 5.0)
        finally:
            await collector.close()

    return asyncio.run(run())


def test_a_plain_collector_runs_in_a_thread_of_its_own() -> None:
    """It may block; its options are its keyword arguments; it is closed at the end."""
    Plain.threads, Plain.closed = [], 0
    (batch,) = collected(settings("Plain", depth=5)).batches
    (row,) = batch.to_pylist()
    assert (row["entity_name"], row["provider"], row["queue.depth"]) == ("jobs/mail", "sqlite", 5)
    assert row["entity_guid"].startswith("7|INFRA|MESSAGE_QUEUE_QUEUE|")
    assert Plain.threads == ["mqpipe-work"]
    assert Plain.closed == 1


def test_a_coroutine_runs_on_the_loop() -> None:
    """Without a thread, and without a `close` that it does not have."""
    assert len(collected(settings("Coroutine")).batches) == 1


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("broken", "cannot be made: OSError: no database"),
        ("without", "has no method `collect(tick, time_left)`"),
        ("nothing", "gave a NoneType in place of a list of RecordBatches"),
        ("lazy", "gave a generator in place of a list of RecordBatches"),
        ("strings", "gave a str in place of a RecordBatch"),
        ("foreign", "make it by `collected_batch`"),
        ("odd", "gave columns that its entity type has not: ['more']"),
    ],
)
def test_what_is_no_collector_or_no_sample_is_said(use: str, says: str) -> None:
    """The target's name, what it uses, and what is wrong with it; no attempt follows."""
    with pytest.raises(CollectionError) as failed:
        collected(settings(use))
    assert says in str(failed.value)
    assert f"jobs: the collector `tests.unit.operators.collect.test_custom:{use}`" in str(
        failed.value
    )
    assert not failed.value.retryable


def test_one_that_cannot_be_closed_keeps_no_other_open() -> None:
    """What it raises ends nothing else, and is logged."""
    Plain.closed = 0

    async def run() -> None:
        made = {
            name: CustomCollector(settings(use))
            for name, use in (("jobs", "Unclosable"), ("more", "Plain"))
        }
        collectors = Collectors(made, lambda _: None)
        for collector in made.values():
            await collector.collect(TICK, 5.0)
        await collectors.close()

    with captured_logs() as logs:
        asyncio.run(run())
    assert Plain.closed == 1
    assert [(line["cluster"], line["cause"]) for line in logs] == [("jobs", "OSError: gone")]


def test_what_a_tick_lacks_is_reported() -> None:
    """Of the target, with class and cause; a whole tick is not spoken of."""

    given = [Collected(), Collected(error_class="page", error="no page")]

    class InPart:
        async def collect(self, tick: Ticks, time_left: float) -> Collected:
            return given.pop(0)

        async def close(self) -> None:
            raise NotImplementedError

    heard: list[Any] = []
    collectors = Collectors({"jobs": InPart()}, heard.append)
    for _ in range(2):
        asyncio.run(collectors.work(TICK, 5.0))
    assert heard == [CollectedInPart("jobs/jobs", "page", "no page")]


def test_wrong_options_are_said() -> None:
    """An option that the factory does not take."""
    with pytest.raises(CollectionError, match="unexpected keyword argument 'colour'"):
        collected(settings("Plain", colour="red"))


@pytest.mark.parametrize(
    "use",
    ["nowhere:Thing", "json:Thing", "thing", "tests.unit.operators.collect.test_custom:number"],
)
def test_a_name_that_leads_nowhere_is_refused_with_the_config(use: str) -> None:
    """A module, an attribute or an entry point that is not there, or what cannot be called."""
    with pytest.raises((ValidationError, PluginError), match="no collector"):
        CollectorSettings(name="jobs", use=use)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"collectors": [{"name": "topics", "use": "json:loads"}]}, "is the name of a pool"),
        (
            {"clusters": [{"name": "jobs", "bootstrap_servers": "b:1"}]},
            "`jobs` is used 2 times",
        ),
        ({"pools": {"job": {"size": 1}}}, "`job` is no kind of target; did you mean `jobs`"),
    ],
)
def test_names_of_collectors_fit_the_rest(changed: dict[str, Any], says: str) -> None:
    """Not a pool's of Kafka's kinds, not a cluster's; and pools are of collectors there are."""
    config = {"mode": "infrastructure", "collectors": [{"name": "jobs", "use": "json:loads"}]}
    assert Config.model_validate(config).collectors[0].name == "jobs"
    with pytest.raises(ValidationError, match=says):
        Config.model_validate({**config, **changed})


def test_a_custom_target_has_no_clusters_row() -> None:
    """In hybrid mode its entities are filled, but nothing is joined from kinds it has not."""
    identity = ClusterIdentity("jobs", "test", None)
    merge = ClusterMerge(Plan("jobs", "test", provider="kafka"), FillSettings())
    found = []
    for number_ in range(3):
        tick = Ticks("jobs", number_ * 30_000, 30_000, kind="jobs")
        merge.on_ticks(tick)
        batches = (queue(identity, tick.start),)
        found += merge.on_result(TickResult(tick, Outcome.COMPLETED, batches, attempts=1))
        found += merge.on_time(tick.start + 30_000)
    types = [entity_type_of(batch).name for batch in found if batch.num_rows]
    assert CLUSTER.name not in types
    assert types.count(QUEUE.name) == types.count(COLLECTION.name) == 3
    assert merge.under_way == 0
