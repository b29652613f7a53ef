"""Samples that do not come: gaps of entities that are well."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from operators.simulate.noise import hashed, key_of

LENGTH = 600_000
"""ms of a gap; each begins at a multiple of it."""


def without_gaps(batches: Iterable[pa.RecordBatch], share: float, key: int) -> list[pa.RecordBatch]:
    """The batches without the samples that do not come.

    Of an entity's stretches of LENGTH, a random `share` has no sample; which, depends on the key, the
    entity's path and the time alone.
    """
    return [batch.filter(pa.array(_comes(batch, share, key))) for batch in batches]


def _comes(batch: pa.RecordBatch, share: float, key: int) -> np.ndarray:
    stretch = batch["timestamp"].cast(pa.int64()).to_numpy() // LENGTH
    names = batch["entity_name"]
    if not pa.types.is_dictionary(names.type):
        names = names.dictionary_encode()
    keys = np.array([key_of(key, "gap", n) & 0x7FFFFFFF for n in names.dictionary.to_pylist()])
    # A number of 63 bits that no other entity's stretch shares, but by accident.
    places = (keys[names.indices.to_numpy()].astype(np.int64) << 31) + stretch
    return hashed(key, places) >= share
