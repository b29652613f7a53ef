"""Samples that New Relic drops for their age, although it answers that all is well.

So it does by its own APIs, and by OTLP.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import TIMESTAMP
from sinks.delivery import SampleBatches

_HOUR = 3_600_000
_MARGIN = 60_000
"""Milliseconds that a request may take to arrive."""
_FURTHEST_AHEAD = 24 * _HOUR


def by_age(
    samples: SampleBatches, hours: int, now: int
) -> tuple[SampleBatches, list[tuple[SampleBatches, str]]]:
    """What New Relic takes, and what it would drop in silence, with the reason.

    `hours` is how old samples may be; `now` is in milliseconds since the epoch.
    """
    oldest = pa.scalar(now - hours * _HOUR + _MARGIN, TIMESTAMP)
    latest = pa.scalar(now + _FURTHEST_AHEAD - _MARGIN, TIMESTAMP)
    taken, old, ahead = [], [], []
    for batch in samples:
        times = batch.column("timestamp")
        bounds = pc.min_max(times)
        if bounds["min"].value >= oldest.value and bounds["max"].value <= latest.value:
            taken.append(batch)
            continue
        too_old, too_far = pc.less(times, oldest), pc.greater(times, latest)
        taken.append(batch.filter(pc.invert(pc.or_(too_old, too_far))))
        old.append(batch.filter(too_old))
        ahead.append(batch.filter(too_far))
    refused = [
        (_filled(old), f"older than {hours} h: New Relic would drop it"),
        (_filled(ahead), "more than 24 h ahead: New Relic would drop it"),
    ]
    return _filled(taken), [(part, reason) for part, reason in refused if part]


def _filled(batches: Sequence[pa.RecordBatch]) -> SampleBatches:
    return tuple(batch for batch in batches if batch.num_rows)
