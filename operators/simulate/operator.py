"""The Bytewax operator: ticks of simulated clusters in, batches of samples out."""

from collections.abc import Iterable, Mapping

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream, StatefulLogic

from operators.simulate.shard import Shard, ShardState
from operators.simulate.spec import ShardSpec
from operators.ticks import Ticks


@operator
def simulate(
    step_id: str,  # noqa: ARG001 - the decorator reads it
    up: KeyedStream[Ticks],
    shards: Mapping[str, ShardSpec],
    account_id: int | None,
) -> KeyedStream[pa.RecordBatch]:
    """Samples of simulated clusters.

    Keyed by cluster; one item of ticks gives one batch for each entity type of the cluster.
    State: each shard's snapshot.

    Args:
        step_id: Unique name of the step.
        up: Ticks of shards, keyed by cluster.
        shards: The shards by the name of their cluster.
        account_id: New Relic's account, a part of the GUIDs; 0 without.

    Returns:
        Batches of samples, `schema_of` their entity type, keyed by cluster.
    """
    return op.stateful("shard", up, lambda state: _Simulation(shards, account_id, state))


class _Simulation(StatefulLogic[Ticks, pa.RecordBatch, ShardState | None]):
    """One key's logic; which shard it is shows with the first ticks."""

    def __init__(
        self, shards: Mapping[str, ShardSpec], account_id: int | None, state: ShardState | None
    ) -> None:
        self._shards = shards
        self._account_id = account_id
        self._resumed = state
        self._shard: Shard | None = None

    def on_item(self, value: Ticks) -> tuple[Iterable[pa.RecordBatch], bool]:
        if self._shard is None:
            spec = self._shards[value.cluster]
            self._shard = Shard(spec, self._account_id, self._resumed)
        return self._shard.step(value), StatefulLogic.RETAIN

    def snapshot(self) -> ShardState | None:
        return self._resumed if self._shard is None else self._shard.snapshot()
