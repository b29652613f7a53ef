"""What makes a shard's samples: the physics of its provider, or a custom generator."""

from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa

from operators import plugins
from operators.schema.metrics import Origin
from operators.simulate.block import Block
from operators.simulate.kafka.cluster import KafkaCluster
from operators.simulate.queues import QueueCluster
from operators.simulate.spec import ShardSpec


class Generator(Protocol):
    """Makes the samples of one shard, block by block.

    A custom one is what `factory(spec, account_id, origin, **options)` gives, where the
    factory is an entry point of `mqpipe.generators` or `module:name`. It computes and does no
    I/O, for it runs on a worker's thread. Its samples depend on nothing but the specification,
    the ticks and its state, whatever the blocks.
    """

    def step(self, block: Block) -> list[pa.RecordBatch]:
        """Samples of a block: one batch for each entity type, `schema_of` that type."""

    def state(self) -> Any:
        """What the next block goes on from: small and plain, for it is pickled."""

    def restore(self, state: Any) -> None:
        """Go on from a `state`."""


class GeneratorError(RuntimeError):
    """A custom generator cannot be made, failed, or gave what samples are not.

    To ask it again is of no use.
    """

    error_class = "config"
    retryable = False

    def __init__(self, use: str, cluster: str, why: str) -> None:
        super().__init__(use, cluster, why)
        self.use = use
        self.cluster = cluster
        self.why = why

    def __str__(self) -> str:
        return f"generator `{self.use}` of cluster `{self.cluster}`: {self.why}"


def generator_of(spec: ShardSpec, account_id: int | None, origin: Origin) -> Generator:
    """The generator of a shard.

    Raises:
        GeneratorError: the settings name a generator that cannot be made.
    """
    own = spec.settings.generator
    if own is not None:
        return _Checked(own.use, own.options, spec, account_id, origin)
    match spec.provider:
        case "kafka":
            return KafkaCluster(spec, account_id, origin)
        case "rabbitmq":
            from operators.simulate.rabbitmq.cluster import RabbitCluster  # rarer than the others

            return RabbitCluster(spec, account_id, origin)
    return QueueCluster(spec, account_id, origin)


class _Checked:
    """A custom generator, whose batches are looked at before they go on."""

    def __init__(
        self,
        use: str,
        options: Mapping[str, Any],
        spec: ShardSpec,
        account_id: int | None,
        origin: Origin,
    ) -> None:
        self._use, self._cluster = use, spec.cluster
        methods, given = ("step", "state", "restore"), (spec, account_id, origin)
        own: Generator = plugins.make(
            "generator", use, methods, *given, options=options, fault=self._fault
        )
        self._own = own
        self.state = own.state
        self.restore = own.restore

    def step(self, block: Block) -> list[pa.RecordBatch]:
        try:
            made = self._own.step(block)
        except Exception as error:
            raise self._fault(f"{type(error).__name__}: {error}") from error
        return plugins.samples_of(made, "sample_batch", self._fault)

    def _fault(self, why: str) -> GeneratorError:
        return GeneratorError(self._use, self._cluster, why)
