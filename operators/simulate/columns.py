"""Turning a block of metrics into Arrow batches; dictionaries and constants are made once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from operators.schema.arrays import Ints
from operators.schema.arrow import TIMESTAMP, from_numpy, repeated, schema_of
from operators.schema.guid import entity_guid, entity_path
from operators.schema.metrics import STRING, EntityType, Origin
from operators.simulate.spec import ShardSpec

Metrics = dict[EntityType, dict[str, Any]]
"""By entity type: a column of each metric."""


class Columns:
    """Builds the batches of one entity type of one shard.

    Rows are entity-major: all ticks of the first entity, then of the second. `names` are the
    entities' last path elements, which are their GUID parts too (None for the cluster itself,
    several of a group and topic);
    `constants` are columns of one value for all, or one an entity, which seldom change.
    """

    def __init__(
        self,
        entity_type: EntityType,
        spec: ShardSpec,
        account_id: int | None,
        origin: Origin,
        names: Sequence[str | tuple[str, ...] | None],
        constants: Mapping[str, Any],
    ) -> None:
        self.entity_type = entity_type
        self.count = len(names)
        self._schema = schema_of(entity_type)
        self._spec = spec
        self._origin = origin
        parts = [n if isinstance(n, tuple) else tuple(filter(None, [n])) for n in names]
        guids = [
            entity_guid(account_id, entity_type.name, spec.provider, spec.cluster, *of_one)
            for of_one in parts
        ]
        paths = [entity_path(spec.cluster, *of_one) for of_one in parts]
        self._by_entity: dict[str, Any] = {
            "entity_guid": guids,
            "entity_name": paths,
            **constants,
        }
        self._cached: dict[int, dict[str, pa.Array]] = {}

    def batch(
        self, times: Ints, metrics: Mapping[str, Any], anomaly: pa.Array | None
    ) -> pa.RecordBatch:
        """Samples of all entities at `times`; shape: `schema_of(entity_type)`.

        `metrics` are arrays of shape (entities, ticks), numpy or Arrow; they come before the
        constants of the same name. What neither names is null.
        """
        known = self._constants(len(times))
        rows = self.count * len(times)
        moments = from_numpy(np.tile(times, self.count), pa.int64()).view(TIMESTAMP)
        arrays = []
        for field in self._schema:
            value = metrics.get(field.name)
            if value is not None:
                arrays.append(_array(value, field.type))
            elif field.name == "timestamp":
                arrays.append(moments)
            elif field.name == "anomaly" and anomaly is not None:
                arrays.append(anomaly)
            else:
                if field.name not in known:
                    known[field.name] = pa.nulls(rows, field.type)
                arrays.append(known[field.name])
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _constants(self, ticks: int) -> dict[str, pa.Array]:
        if ticks not in self._cached:
            if len(self._cached) > 3:
                self._cached.clear()
            rows = self.count * ticks
            spec = self._spec
            made = {
                "entity_type": repeated(self.entity_type.name, rows),
                "cluster_name": repeated(spec.cluster, rows),
                "provider": repeated(spec.provider, rows),
                "environment": repeated(spec.environment, rows),
                "origin": repeated(self._origin, rows),
                "late": pa.repeat(False, rows),
            }
            for name, values in self._by_entity.items():
                made[name] = _each(values, self._schema.field(name).type, self.count, ticks)
            self._cached[ticks] = made
        return self._cached[ticks]


def _each(values: Any, type_: pa.DataType, count: int, ticks: int) -> pa.Array:
    """One value an entity (or one for all), repeated for every tick."""
    if isinstance(values, str):
        return repeated(values, count * ticks)
    if np.isscalar(values):
        return pa.repeat(pa.scalar(values, type_), count * ticks)
    if type_ == STRING:
        indices = np.repeat(np.arange(count, dtype=np.int32), ticks)
        return pa.DictionaryArray.from_arrays(
            from_numpy(indices, pa.int32()), pa.array(values, pa.string())
        )
    return from_numpy(np.repeat(np.asarray(values), ticks), type_)


def _array(value: Any, type_: pa.DataType) -> pa.Array:
    return value if isinstance(value, pa.Array) else from_numpy(value.reshape(-1), type_)
