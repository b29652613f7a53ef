"""A shard's samples: the same for the same seed, however they are made."""

import pytest

from operators.schema.arrow import entity_type_of
from operators.simulate import FleetSettings, Shard, ShardSpec, SimulationSettings, shards
from operators.ticks import Ticks

START = 1_767_225_600_000
INTERVAL = 30_000


def spec_of(seed: int = 42, **fleet: object) -> ShardSpec:
    settings = FleetSettings.model_validate({"name": "sim", "topics": 7, "groups": 3, **fleet})
    return shards(SimulationSettings(seed=seed, fleets=(settings,)))[0]


def samples(shard: Shard, start: int, counts: list[int]) -> list[list[dict[str, object]]]:
    """Samples of consecutive blocks, one list of rows an entity type, sorted by key."""
    found: dict[str, list[dict[str, object]]] = {}
    for count in counts:
        for batch in shard.step(Ticks(shard.spec.cluster, start, INTERVAL, count)):
            found.setdefault(entity_type_of(batch).name, []).extend(batch.to_pylist())
        start += count * INTERVAL
    return [
        sorted(rows, key=lambda row: (str(row["entity_name"]), str(row["timestamp"])))
        for rows in found.values()
    ]


@pytest.mark.parametrize("counts", [[1] * 24, [24], [5, 1, 18], [23, 1]])
def test_samples_do_not_depend_on_blocks(counts: list[int]) -> None:
    """Tick by tick or in blocks: the same samples."""
    whole = samples(Shard(spec_of(), 1), START, [12, 12])
    assert samples(Shard(spec_of(), 1), START, counts) == whole


def test_a_resumed_shard_goes_on_as_if_nothing_had_happened() -> None:
    """A shard made from a snapshot gives the samples that the first one would have given."""
    first = Shard(spec_of(), 1)
    samples(first, START, [9])
    resumed = Shard(spec_of(), 1, first.snapshot())
    later = START + 9 * INTERVAL
    assert samples(resumed, later, [4]) == samples(first, later, [4])


def test_another_seed_gives_other_samples() -> None:
    """The seed decides the samples."""
    one, other = (samples(Shard(spec_of(seed), 1), START, [3]) for seed in (1, 2))
    assert one != other
