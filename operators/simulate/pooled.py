"""Generators that do I/O: asked tick by tick, in a pool, for rows that become samples."""

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from operators import plugins
from operators.schema.arrow import TIMESTAMP, sample_batch
from operators.schema.guid import broker_name, entity_guid, entity_path
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    QUEUE,
    TOPIC,
    EntityType,
    Origin,
)
from operators.simulate.generators import GeneratorError
from operators.simulate.spec import ShardSpec
from operators.ticks import Collected, Ticks

GeneratedRows: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
"""By entity type's label: a dictionary an entity, of its identity column and its metrics."""

SIMULATED = {t.label: t for t in (CLUSTER, BROKER, TOPIC, CONSUMER_GROUP, QUEUE)}
"""The entity types that a fleet may have, by label."""


class AskedGenerator(Protocol):
    """A generator that does I/O.

    It is what `factory(spec, account_id, origin, **options)` gives, where the factory is an entry
    point of `mqpipe.generators` or `module:name`, in a fleet whose `generator` says `io: true`.
    It may have a method `close()`, called at the end. Both may be coroutines; plain ones run in
    a thread of their own.
    """

    def generate(self, tick: int, time_left: float) -> GeneratedRows | Awaitable[GeneratedRows]:
        """The rows of one tick (ms since the epoch) within `time_left` seconds; see `GeneratedRows`.

        What it raises fails the attempt, as for a custom collector.
        """


class PooledGenerator:
    """A generator that does I/O, of one shard; made when it is first needed."""

    def __init__(self, spec: ShardSpec, account_id: int | None = None) -> None:
        self._spec = spec
        self._account_id = account_id
        settings = spec.settings.generator
        assert settings is not None  # noqa: S101 - `ShardSpec.does_io`
        self._use = settings.use
        self._part = plugins.AskedPart(
            partial(
                plugins.make,
                "generator",
                settings.use,
                ["generate(tick, time_left)"],
                *(spec, account_id, Origin.SIMULATED),
                options=settings.options,
                fault=self._fault,
            )
        )

    async def collect(self, tick: Ticks, time_left: float) -> Collected:
        """The samples of one tick, of origin `simulated`.

        Raises:
            GeneratorError: it cannot be made, or its rows are not those of samples.
            Exception: whatever it raised itself.
        """
        rows = await self._part.ask("generate", tick.start, time_left)
        return Collected(tuple(self._batches(rows, tick.start)))

    async def close(self) -> None:
        """Close it, where it can be closed."""
        await self._part.close()

    def _batches(self, rows: GeneratedRows, tick: int) -> list[pa.RecordBatch]:
        try:
            return [self._batch(_entity_type(label), rows[label], tick) for label in rows]
        except Exception as error:
            # Whatever it gave in the place of rows: the message says whose fault it is.
            raise self._fault(f"its rows are no samples: {error}") from error

    def _batch(
        self, entity_type: EntityType, rows: Sequence[Mapping[str, Any]], tick: int
    ) -> pa.RecordBatch:
        spec = self._spec
        paths = [_path(entity_type, row) for row in rows]
        named = {name for row in rows for name in row}
        columns = {name: [row.get(name) for row in rows] for name in named}
        return sample_batch(
            entity_type,
            len(rows),
            {
                **columns,
                "timestamp": pa.repeat(pa.scalar(tick, TIMESTAMP), len(rows)),
                "entity_guid": [
                    entity_guid(
                        self._account_id, entity_type.name, spec.provider, spec.cluster, *path
                    )
                    for path in paths
                ],
                "entity_name": [entity_path(spec.cluster, *path) for path in paths],
                "cluster_name": spec.cluster,
                "provider": spec.provider,
                "environment": spec.environment,
                "origin": Origin.SIMULATED.value,
            },
        )

    def _fault(self, why: str) -> GeneratorError:
        return GeneratorError(self._use, self._spec.cluster, why)


def _entity_type(label: str) -> EntityType:
    if label not in SIMULATED:
        raise ValueError(f"no entity type is called `{label}`; {', '.join(SIMULATED)} are")
    return SIMULATED[label]


def _path(entity_type: EntityType, row: Mapping[str, Any]) -> tuple[str, ...]:
    """What follows the cluster in an entity's path: nothing, `broker-<id>`, or its name."""
    wanted = [identity.column for identity in entity_type.identity]
    missing = [column for column in wanted if row.get(column) is None]
    if missing:
        raise ValueError(f"a row of {entity_type.label} has no {missing}")
    return tuple(broker_name(row[c]) if entity_type is BROKER else str(row[c]) for c in wanted)
