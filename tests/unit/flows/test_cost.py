"""What `mqpipe check` says that samples cost, held against what is written of them."""

import json
from concurrent import futures
from pathlib import Path

import pytest

from flows.check import check
from flows.config import Config
from flows.cost import Pace, cost_of
from operators.schema.arrow import only
from operators.schema.metrics import COLLECTION
from operators.simulate.shard import Shard
from operators.simulate.spec import by_cluster
from operators.ticks import Ticks
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from tests.samples import NEW_YEAR, numbered
from tests.sink_jobs import job_in


def simulation(path: Path, interval: str, every: str, clusters: int) -> Config:
    fleet = {"name": "fleet", "clusters": clusters, "brokers": 2, "topics": 4, "groups": 2}
    return Config.model_validate(
        {
            "mode": "simulation",
            "interval": interval,
            "simulation": {"fleets": [fleet]},
            "sinks": {"parquet": {"path": str(path), "roll": {"every": every}}},
        }
    )


def written(config: Config, rolls: int) -> float:
    """Bytes an hour of a job that rolls so often: it takes a snapshot after each tick."""
    assert config.sinks.parquet is not None
    shards = by_cluster(config.simulation)
    now, step = NEW_YEAR, config.interval_ms
    sink = RolledParquet(
        ParquetSettings.model_validate(config.sinks.parquet.model_dump()),
        job_in(Path(config.sinks.parquet.path).with_name("state"), run="r", parts=lambda _: shards),
        clock=lambda: now,
        look_every=None,
        soon=False,
    )
    parts = {name: sink.build_part("step", name, None) for name in shards}
    simulated = {name: Shard(spec, None) for name, spec in shards.items()}
    ticks = rolls * (round(config.sinks.parquet.roll.every * 1000) // step + 1)
    for number in range(ticks):
        now = NEW_YEAR + number * step - 1
        for name, part in parts.items():
            part.look()
            made = simulated[name].step(Ticks(name, now + 1, step))
            part.write_batch([batch for batch in made if only(batch) is None])
            part.snapshot()
            if part._publishing is not None:
                futures.wait([part._publishing[1]])
    for part in parts.values():
        part.close()
    sink.finish()
    files = list(Path(config.sinks.parquet.path).rglob("*.parquet"))
    assert len(files) == rolls * len(shards) * 5, "each entity type's"
    return sum(file.stat().st_size for file in files) * 3_600_000 / (ticks * step)


@pytest.mark.parametrize(
    ("interval", "every", "clusters", "rolls"),
    [("5s", "10m", 1, 1), ("5s", "30s", 2, 3), ("30s", "10m", 6, 1), ("1m", "10s", 1, 3)],
)
def test_bytes_an_hour_are_those_of_the_files_that_are_written(
    interval: str,
    every: str,
    clusters: int,
    rolls: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Few rows in many files, and many in few: a file of one row has nearly the size of one of ten."""
    config = simulation(tmp_path / "samples", interval, every, clusters)
    assert check(config, connect=False, as_json=True) == 0
    reported = json.loads(capsys.readouterr().out)["sinks"][0]["bytes_per_hour"]
    assert reported == pytest.approx(written(config, rolls), rel=0.3)


@pytest.mark.parametrize(("every", "most"), [(30.0, 0.3), (600.0, 0.5)])
def test_of_one_tick_of_a_real_cluster_a_roll_is_reported(
    every: float, most: float, tmp_path: Path
) -> None:
    """What is connected to is collected once: what more of its ticks add is guessed."""
    config = simulation(tmp_path / "samples", "5s", f"{every:g}s", 1)
    assert config.sinks.parquet is not None
    (spec,) = by_cluster(config.simulation).values()
    tick = Shard(spec, None).step(Ticks(spec.cluster, NEW_YEAR, 5_000))
    cost = cost_of(tick, 1, [config.sinks.parquet.sink()], Pace(5, 5))
    assert cost.sizes["parquet"] * 720 == pytest.approx(written(config, 1), rel=most)


def test_rows_that_report_how_ticks_went_are_samples_and_no_entities() -> None:
    """They are written as the others are."""
    outcomes = numbered([1, 2], entity_type=COLLECTION)
    cost = cost_of([numbered([1]), outcomes], 1, [], Pace(5, 5))
    assert (cost.samples, cost.outcomes, sum(cost.entities.values())) == (3, 2, 1)
