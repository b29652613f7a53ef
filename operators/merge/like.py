"""What a collected cluster is like: the simulated fleet whose pattern and levels fills follow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import pyarrow as pa

from operators.collect.expected import Expectation
from operators.merge.continuity import Pattern, constant
from operators.schema.metrics import Origin
from operators.simulate.patterns import Constant
from operators.simulate.presets import Provider
from operators.simulate.settings import FleetSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import pattern_factor, shard_of
from operators.ticks import Ticks


def no_levels(tick: int, interval: int) -> Sequence[pa.RecordBatch]:  # noqa: ARG001
    """No levels: what was never seen is filled with nulls."""
    return ()


@dataclass(frozen=True)
class Like:
    """The fleet that fills follow.

    `pattern` is its traffic's factor over time. `levels` gives the samples, of one tick (ms) at
    an interval (ms), of a simulated cluster that bears the collected one's name and holds what
    is expected of it: the levels of what was never seen.
    """

    pattern: Pattern = constant
    levels: Callable[[int, int], Sequence[pa.RecordBatch]] = no_levels


def preset_fleet(environment: str, provider: Provider) -> FleetSettings:
    """What a cluster is like that is said to be like nothing: the presets, and steady traffic."""
    return FleetSettings(
        name="preset", provider=provider, environment=environment, pattern=Constant()
    )


def like_fleet(
    fleet: FleetSettings,
    seed: int,
    cluster: str,
    account_id: int | None,
    expect: Expectation,
    provider: Provider,
) -> Like:
    """The pattern of a fleet, and its levels for a cluster that holds what is expected.

    Entities that `expect` names stand in the place of the fleet's own.

    Raises:
        ValueError: the fleet is of another provider than the cluster.
    """
    if fleet.provider != provider:
        raise ValueError(
            f"cluster `{cluster}` cannot be like the {fleet.provider} fleet `{fleet.name}`: "
            "name a fleet of its own provider in `like`"
        )
    spec = shard_of(fleet, seed, cluster, expect.topology(fleet, seed, cluster))

    @lru_cache(maxsize=1)  # each kind asks for the same tick
    def levels(tick: int, interval: int) -> Sequence[pa.RecordBatch]:
        shard = Shard(spec, account_id, origin=Origin.FILLED)
        return shard.step(Ticks(cluster, tick, interval))

    return Like(partial(pattern_factor, spec), levels)
