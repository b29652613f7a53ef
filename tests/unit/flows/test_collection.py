"""When the clusters of a run are asked."""

from itertools import pairwise

import pytest

from flows.collection import _plan, targets_of
from flows.config import Config
from operators.merge.like import Like
from operators.nats.settings import NatsSettings


def delays(clusters: int, interval: str) -> list[int]:
    """Each cluster's delay in ms, in the order of the configuration."""
    named = [{"name": f"c{n}", "bootstrap_servers": "nowhere:9092"} for n in range(clusters)]
    sinks = {"parquet": {"path": "samples"}}
    config = Config.model_validate(
        {"mode": "infrastructure", "interval": interval, "clusters": named, "sinks": sinks}
    )
    of: dict[str, set[int]] = {}
    for target in targets_of(config, {}):
        of.setdefault(target.cluster, set()).add(target.delay)
    assert all(len(found) == 1 for found in of.values()), "the kinds of a cluster go together"
    return [found for (found,) in of.values()]


def test_one_cluster_is_asked_when_its_ticks_are_due() -> None:
    """Nothing is gained by waiting."""
    assert delays(1, "2s") == [0]


@pytest.mark.parametrize(("clusters", "interval", "last"), [(4, "30s", 60), (60, "2s", 983)])
def test_clusters_are_asked_one_after_another(clusters: int, interval: str, last: int) -> None:
    """Evenly, always in the same order, and the last within half the interval."""
    found = delays(clusters, interval)
    assert found == delays(clusters, interval)
    assert (found[0], found[-1]) == (0, last)
    assert len({(later - earlier) // 4 for earlier, later in pairwise(found)}) == 1


def test_a_provider_of_which_no_fleet_is_made_is_collected_and_like_nothing() -> None:
    """A folder and a line make a provider: fleets of it are for whoever wants them."""
    known = NatsSettings(name="n", provider="nats", url=("http://nats-1:8222",))
    config = Config.model_validate(
        {"mode": "simulation", "simulation": {"fleets": [{"name": "f"}]}}
    )

    assert _plan(config, known).like != Like()
    assert _plan(config, known.model_copy(update={"provider": "other"})).like == Like()
