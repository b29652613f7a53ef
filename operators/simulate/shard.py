"""A shard at work: from ticks to batches, with a state that survives restarts."""

from typing import Any

import pyarrow as pa

from operators.schema.logs import Log
from operators.schema.metrics import Origin
from operators.simulate.block import Block
from operators.simulate.gaps import without_gaps
from operators.simulate.generators import generator_of
from operators.simulate.spec import ShardSpec
from operators.ticks import Ticks

STATE_VERSION = 1

_log = Log("mqpipe.simulate")

ShardState = tuple[int, str, Any]
"""Version, the shard's fingerprint, and its generator's state."""


class Shard:
    """One simulated cluster.

    The samples at a tick are the same whether they are made tick by tick or in blocks, from the
    start or from a state. A `state` of another seed or shape is of no use: the shard then starts
    over and says so in the log.
    """

    def __init__(
        self,
        spec: ShardSpec,
        account_id: int | None,
        state: ShardState | None = None,
        origin: Origin = Origin.SIMULATED,
    ) -> None:
        self.spec = spec
        self._fingerprint = spec.fingerprint
        # What fills for others has no gaps itself.
        self._gaps = spec.settings.gaps if origin is Origin.SIMULATED else 0.0
        self._generator = generator_of(spec, account_id, origin)
        if state is not None:
            self._resume(state)

    def _resume(self, state: ShardState) -> None:
        version, fingerprint, kept = state
        if (version, fingerprint) == (STATE_VERSION, self._fingerprint):
            self._generator.restore(kept)
            return
        _log.warning(
            "fleet starts anew: its seed or its shape has changed",
            fleet=self.spec.fleet,
            cluster=self.spec.cluster,
        )

    def step(self, ticks: Ticks) -> list[pa.RecordBatch]:
        """Samples of a block of ticks: one batch for each entity type that the cluster has.

        Rows are entity-major. Blocks must follow each other in time.
        """
        batches = self._generator.step(Block.of(ticks.start, ticks.interval, ticks.count))
        return without_gaps(batches, self._gaps, self.spec.key) if self._gaps else batches

    def snapshot(self) -> ShardState:
        """The state after the last step, small and plain."""
        return (STATE_VERSION, self._fingerprint, self._generator.state())
