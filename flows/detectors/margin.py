"""The margin of data loss as a detector. Scores: `entity` (path), `time` (ms), `score`."""

from collections.abc import Iterator

import polars as pl

from flows.samples import Samples
from operators.schema.metrics import CONSUMER_GROUP, GROUP_TOPIC

_MARGIN = "consumerGroup.marginSeconds"


def margin(samples: Samples) -> Iterator[pl.DataFrame]:
    """1 / (1 + hours until a group's first unread message may be removed): 1 at loss, 0 for never.

    Of groups, and groups on topics; others have no score. See docs/data-loss.md.
    """
    for entity_type in (CONSUMER_GROUP, GROUP_TOPIC):
        if entity_type in samples.files:
            yield (
                samples.scan(entity_type)
                .select(
                    entity=pl.col("entity_name").cast(pl.String),
                    time=pl.col("timestamp").cast(pl.Int64),
                    # Null is for never too.
                    score=(1 / (1 + pl.col(_MARGIN) / 3600)).fill_null(0.0),
                )
                .collect()
            )
