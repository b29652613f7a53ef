"""Series with labels and causes, for tests of the forms that they are written in."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from flows.anomalies.spans import spans_of
from flows.datasets.series import LabelledSeries, ShapedTicks
from operators.schema.metrics import BROKER
from tests.samples import NEW_YEAR

BEGIN = datetime.fromtimestamp(NEW_YEAR / 1000, UTC)
INTERVAL = timedelta(seconds=30)
ROOT = "sim/broker-2"


def series(flags: Sequence[int], entity: str = ROOT) -> LabelledSeries:
    """A broker's, with two metrics: a tick for each flag, which says whether an anomaly shaped it."""
    ticks = len(flags)
    label = np.array(flags, bool)
    return LabelledSeries(
        entity,
        BROKER,
        pl.Series([BEGIN + n * INTERVAL for n in range(ticks)], dtype=pl.Datetime("ms", "UTC")),
        pl.DataFrame({"one": [n / 4 for n in range(ticks)], "two": list(range(ticks))}),
        label,
        tuple(
            ShapedTicks(start, end, "broker_down", "broker_down#1", ROOT)
            for start, end in spans_of(label).tolist()
        ),
    )
