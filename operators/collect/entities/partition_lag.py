"""Groups' lag by partition where it has no rows: data points for whoever draws it."""

import numpy as np
import pyarrow as pa

from operators.collect.client.topology import UNKNOWN
from operators.collect.reading.commits import Commits
from operators.collect.reading.offsets import Offsets
from operators.collect.samples import SampleIdentity, collected_batch
from operators.schema.arrow import Only, as_only
from operators.schema.guid import entity_path
from operators.schema.metrics import PARTITION_OFFSET


def partition_lag(
    identity: SampleIdentity, tick: int, commits: Commits, offsets: Offsets, most: int
) -> pa.RecordBatch:
    """PARTITION_OFFSET samples with the lag alone, at most `most`: those with the largest.

    They are marked as data points alone (`as_only`). A partition whose end offset is not
    known, or that is gone, has none.
    """
    lag = commits.lag(offsets)
    chosen = np.flatnonzero(lag != UNKNOWN)
    if len(chosen) > most:
        order = np.argsort(-lag[chosen], kind="stable")
        chosen = np.sort(chosen[order[:most]])
    groups = [commits.groups.groups[group].id for group in commits.group[chosen].tolist()]
    topics = [commits.topics[topic] for topic in commits.topic[chosen].tolist()]
    partitions = commits.partition[chosen]
    names = list(zip(groups, topics, map(str, partitions.tolist()), strict=True))
    batch = collected_batch(
        identity,
        tick,
        PARTITION_OFFSET,
        names,
        [entity_path(*name) for name in names],
        {
            "consumer_group": groups,
            "topic": topics,
            "partition": partitions,
            "consumer.lag": lag[chosen],
        },
    )
    return as_only(batch, Only.POINTS)
