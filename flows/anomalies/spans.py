"""Runs of ticks: an anomaly, or an alert that lasts, as [start, stop) in ticks of one series."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from operators.schema.arrays import Flags, Ints

Spans: TypeAlias = NDArray[np.int64]
"""Shape (n, 2): start and stop (exclusive) of each run, in rising order, never touching."""


def spans_of(flags: Flags) -> Spans:
    """The runs of true values."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2).astype(np.int64)


def overlapping(one: Spans, other: Spans) -> tuple[Ints, Ints]:
    """Every pair of runs that share a tick: indices into `one` and into `other`, in order."""
    first = np.searchsorted(other[:, 1], one[:, 0], side="right")
    last = np.searchsorted(other[:, 0], one[:, 1], side="left")
    counts = np.maximum(0, last - first)
    of_one = np.repeat(np.arange(len(one)), counts)
    begun = np.cumsum(counts) - counts
    return of_one, np.arange(counts.sum()) - np.repeat(begun - first, counts)
