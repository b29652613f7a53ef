"""Groups' lag by client, as New Relic's own integration has it: events of their own."""

from collections import defaultdict

import numpy as np
import pyarrow as pa

from operators.collect.client.topology import UNKNOWN
from operators.collect.reading.commits import Commits
from operators.collect.reading.offsets import Offsets
from operators.collect.samples import SampleIdentity, collected_batch
from operators.schema.arrow import Only, as_only
from operators.schema.fields import HOW_TO_LIMIT
from operators.schema.guid import entity_path
from operators.schema.metrics import GROUP_CLIENT


def group_clients(
    identity: SampleIdentity, tick: int, commits: Commits, offsets: Offsets, most: int
) -> tuple[pa.RecordBatch, int]:
    """One GROUP_CLIENT row for each client id among a group's members, at most `most`.

    Those with the largest lags. Members with one client id, as all of a service often have, are
    one client. Its lag is that of the partitions that they have and the group has committed on,
    but for those without a leader; a client of which one of the others did not report its end
    offset has no row. Members of share groups share their partitions, and so have none either.
    The rows are marked as events alone (`as_only`). With them how many have none, for want of room.
    """
    lag, shared = commits.lag(offsets), commits.shared
    counted = (commits.row != UNKNOWN) & ((lag != UNKNOWN) | commits.led)
    if len(shared):
        counted &= ~shared[commits.group]
    owners = [of.description.owners if of.description else {} for of in commits.groups.groups]
    sums: defaultdict[tuple[int, str], int] = defaultdict(int)
    unknown: set[tuple[int, str]] = set()
    for group, topic, partition, waiting in zip(
        *(a[counted].tolist() for a in (commits.group, commits.topic, commits.partition, lag)),
        strict=True,
    ):
        member = owners[group].get((commits.topics[topic], partition))
        if member is None:
            continue
        client = group, member.client_id
        if waiting == UNKNOWN:
            unknown.add(client)
        sums[client] += waiting
    clients = [client for client in sums if client not in unknown]
    without = max(0, len(clients) - most)
    if without:
        order = np.argsort([-sums[client] for client in clients], kind="stable")
        clients = [clients[place] for place in order[:most].tolist()]
    clients.sort()  # the same order from tick to tick
    names = [(commits.groups.groups[group].id, client) for group, client in clients]
    batch = collected_batch(
        identity,
        tick,
        GROUP_CLIENT,
        names,
        [entity_path(*name) for name in names],
        {
            "consumer_group": [group for group, _ in names],
            "client_id": [client for _, client in names],
            "consumer.totalLag": [sums[client] for client in clients],
        },
    )
    return as_only(batch, Only.EVENTS), without


def left_out(without: int, most: int) -> str:
    """A sentence on the groups' clients that have no events."""
    return (
        f"`group_clients` allows for {most:,} events of a group's client: the {without:,} with the "
        f"least lag have none; {HOW_TO_LIMIT}"
    )
