"""Exact sums of rows by group."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Ints


@dataclass(frozen=True, slots=True)
class GroupedSums:
    """Which rows belong to which group.

    `take` puts rows in the order of their groups, groups begin at `starts`, and `rows` says
    which result each group is; groups without rows stay 0.
    """

    take: Ints
    starts: Ints
    rows: Ints
    count: int

    @classmethod
    def over(cls, groups: Ints, count: int) -> "GroupedSums":
        """Sums of rows that belong to `groups`, numbers below `count`."""
        take = np.argsort(groups, kind="stable")
        rows, starts = np.unique(groups[take], return_index=True)
        return cls(take, starts, rows, count)

    def of(self, values: Any, reduce: Any = np.add, empty: float = 0) -> Any:
        """Values of shape (rows, ticks), reduced to (count, ticks)."""
        return self.ordered(values.take(self.take, axis=0), reduce, empty)

    def ordered(self, values: Any, reduce: Any = np.add, empty: float = 0) -> Any:
        """The same of values that are in the order of their groups already."""
        if len(self.take) == len(self.rows) == self.count:
            return values  # one row each
        if len(self.rows) == self.count:
            return reduce.reduceat(values, self.starts, axis=0)
        whole = np.full((self.count, values.shape[1]), empty, values.dtype)
        if len(self.rows):
            whole[self.rows] = reduce.reduceat(values, self.starts, axis=0)
        return whole
