"""Which sample was shaped by which anomaly."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from operators.schema.arrays import Ints
from operators.schema.metrics import EntityType

NONE = -1
"""Code of a sample that no anomaly shaped."""


class Labels:
    """Labels of a block's samples, as codes in the order in which anomalies began.

    Where several anomalies shape one sample it carries the label of the one that began last.
    """

    def __init__(self, known: Iterable[tuple[int, str]], ticks: int) -> None:
        """`known` are start and label of every anomaly that may shape the block."""
        self.known = sorted(set(known))
        self._code = {label: code for code, (_, label) in enumerate(self.known)}
        self._ticks = ticks
        self._codes: dict[EntityType, Ints] = {}

    def code(self, label: str) -> int:
        """The code of a label."""
        return self._code[label]

    def codes(self, entity_type: EntityType, count: int) -> Ints:
        """Codes of the samples of a type, shape (count, ticks); to be written to."""
        if entity_type not in self._codes:
            self._codes[entity_type] = self.blank(count)
        return self._codes[entity_type]

    def blank(self, count: int) -> Ints:
        """Codes of samples that nothing shaped yet."""
        return np.full((count, self._ticks), NONE, np.int64)

    def column(self, entity_type: EntityType) -> pa.Array | None:
        """The column `anomaly` of a type's samples, or None where all are null."""
        codes = self._codes.get(entity_type)
        if codes is None or codes.max(initial=NONE) == NONE:
            return None
        flat = codes.reshape(-1).astype(np.int32)
        indices = pa.Array.from_buffers(
            pa.int32(),
            len(flat),
            [pa.py_buffer(np.packbits(flat != NONE, bitorder="little")), pa.py_buffer(flat)],
        )
        labels = pa.array([label for _, label in self.known], pa.string())
        return pa.DictionaryArray.from_arrays(indices, labels)


def paint(codes: Ints, entities: Ints, span: slice, code: Any) -> None:
    """Mark samples as shaped, unless an anomaly that began later shaped them too."""
    codes[entities, span] = np.maximum(codes[entities, span], code)


def with_next_tick(shaped: Any, before: Any) -> Any:
    """A rate compares two ticks, so the tick after a shaped one is shaped too.

    `before` says of each entity whether it was shaped at the tick before the block.
    """
    after = shaped.copy()
    after[:, 1:] |= shaped[:, :-1]
    after[:, 0] |= before
    return after


def carried(codes: Ints, shaped: Any, before: Ints) -> Ints:
    """Codes of shaped samples; one without a code has that of the tick before.

    `before` are the entities' codes before the block.
    """
    ticks = np.arange(1, codes.shape[1] + 1)
    last = np.maximum.accumulate(np.where(codes != NONE, ticks, 0), axis=1)
    full = np.concatenate([before[:, None], codes], axis=1)
    return np.where(shaped, np.take_along_axis(full, last, axis=1), NONE)
