"""Generators that do I/O: checked with the config, asked in a pool, their rows made samples."""

import asyncio
import threading
from typing import Any

import pytest
from pydantic import ValidationError

from flows.check import check
from flows.config import Config
from flows.errors import UsageError
from flows.export import ExportOptions, export
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, TOPIC, Origin
from operators.simulate.generators import GeneratorError
from operators.simulate.pooled import PooledGenerator
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec
from operators.ticks import Collected, Ticks
from tests.simulated_fleets import frame, spec_of

TICK = Ticks("sim", 60_000, 30_000, kind="simulation")


class Plain:
    """Blocks, as a client of some service does."""

    threads: list[str] = []  # noqa: RUF012
    closed = 0

    def __init__(self, spec: ShardSpec, account: int | None, origin: Origin, load: float) -> None:
        assert (spec.cluster, account, origin) == ("sim", 7, "simulated")
        self._load = load

    def generate(self, tick: int, time_left: float) -> dict[str, list[dict[str, Any]]]:
        assert (tick, time_left) == (60_000, 5.0)
        self.threads.append(threading.current_thread().name)
        return {
            "broker": [{"broker_id": 1, "broker.cpuUsage": self._load}, {"broker_id": 2}],
            "topic": [{"topic": "orders", "topic.offset": 12}],
        }

    def close(self) -> None:
        Plain.closed += 1


class Coroutine:
    """Awaits, on the loop of the pools."""

    def __init__(self, *_: object) -> None:
        self._thread = threading.current_thread()

    async def generate(self, tick: int, time_left: float) -> dict[str, list[dict[str, Any]]]:
        await asyncio.sleep(0)
        assert threading.current_thread() is threading.main_thread()
        return {"cluster": [{"cluster.totalLag": 3}]}


def giving(rows: Any) -> Any:
    """A factory of generators that give this."""

    class Giving:
        def __init__(self, *_: object) -> None:
            pass

        def generate(self, tick: int, time_left: float) -> Any:
            return rows

    return Giving


strange_type = giving({"galaxy": []})
strange_column = giving({"topic": [{"topic": "a", "topic.colour": 1}]})
strange_value = giving({"topic": [{"topic": "a", "topic.offset": "many"}]})
nameless = giving({"topic": [{"topic.offset": 1}]})
no_rows = giving("rows")


def broken(spec: object, account: object, origin: object) -> None:
    raise OSError("no route")


def without(spec: object, account: object, origin: object) -> object:
    return object()


def spec(name: str, **options: Any) -> ShardSpec:
    """A shard whose generator, of this module, does I/O."""
    return spec_of(generator={"use": f"{__name__}:{name}", "options": options, "io": True})


def asked(of: ShardSpec) -> Collected:
    async def run() -> Collected:
        generator = PooledGenerator(of, 7)
        try:
            return await generator.collect(TICK, 5.0)
        finally:
            await generator.close()

    return asyncio.run(run())


def test_rows_become_samples_of_the_simulated_cluster() -> None:
    """With the GUIDs, paths and origin that the fleet's own physics would give them."""
    Plain.threads, Plain.closed = [], 0
    made = asked(spec("Plain", load=40.0)).batches
    brokers, topics = (frame(batch) for batch in made)
    assert [entity_type_of(batch) for batch in made] == [BROKER, TOPIC]
    assert brokers["entity_name"].to_list() == ["sim/broker-1", "sim/broker-2"]
    assert brokers["broker.cpuUsage"].to_list() == [40.0, None]
    assert topics["topic.offset"].to_list() == [12]
    physics = {
        entity_type_of(batch): frame(batch)
        for batch in Shard(spec_of(brokers=2, topics=1), 7).step(Ticks("sim", 60_000, 30_000))
    }
    for kind, rows in ((BROKER, brokers), (TOPIC, topics)):
        common = rows.columns[:8]
        assert rows.select(common).equals(physics[kind].select(common))
    assert Plain.threads == ["mqpipe-work"], "it may block"
    assert Plain.closed == 1


def test_a_coroutine_runs_on_the_loop() -> None:
    """Without a thread, and without a `close` that it does not have."""
    (batch,) = asked(spec("Coroutine")).batches
    assert frame(batch)["cluster.totalLag"].to_list() == [3]


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("broken", "cannot be made: OSError: no route"),
        ("without", "has no method `generate"),
        ("strange_type", "no entity type is called `galaxy`"),
        ("strange_column", "has no column .*topic.colour"),
        ("strange_value", "many"),
        ("nameless", r"a row of topic has no \['topic'\]"),
        ("no_rows", "its rows are no samples"),
    ],
)
def test_what_is_no_generator_or_no_row_is_said(use: str, says: str) -> None:
    """With the generator and the cluster; no other attempt follows."""
    with pytest.raises(GeneratorError, match=says) as failed:
        asked(spec(use))
    assert f"generator `{__name__}:{use}` of cluster `sim`" in str(failed.value)
    assert not failed.value.retryable


@pytest.mark.parametrize(
    ("generator", "says"),
    [
        ({"use": "Coroutine", "io": False}, "no method `step`.* or write `io: true`"),
        ({"use": "Plain", "options": {"loaded": 1}, "io": True}, "missing a required argument"),
        ({"use": "nobody", "io": True}, "no generator"),
    ],
)
def test_a_generator_that_cannot_work_is_refused_with_the_config(
    generator: dict[str, Any], says: str
) -> None:
    """Its method and its options are looked at before anything starts."""
    with pytest.raises(ValidationError, match=says):
        spec_of(generator={**generator, "use": f"{__name__}:{generator['use']}"})


def config(**changed: Any) -> Config:
    fleet = {"name": "sim", "generator": {"use": f"{__name__}:Coroutine", "io": True}}
    return Config.model_validate({"simulation": {"fleets": [fleet]}, **changed})


def test_an_export_does_not_ask() -> None:
    """It is told that a run does."""
    with pytest.raises(UsageError, match=r"cannot export sim: .*mqpipe run"):
        export(config(), ExportOptions())


def test_check_does_not_ask(capsys: pytest.CaptureFixture[str]) -> None:
    """What such a generator gives, and so what it costs, is not known before a run."""
    assert check(config(), connect=False) == 0
    assert "sim: what its generator gives shows when it runs" in capsys.readouterr().out


def test_gaps_are_not_filled_by_io() -> None:
    """A cluster cannot be like such a fleet."""
    like = {"name": "prod", "bootstrap_servers": "b:1", "like": "sim"}
    with pytest.raises(ValidationError, match="cannot be like the fleet `sim`"):
        config(mode="hybrid", clusters=[like])
