"""A cluster after tests that killed and hung its brokers and left things in it: whole and empty again."""

import time
from contextlib import suppress

from confluent_kafka import ElectionType, KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka.brokers_view import PAUSE, wait_until_balanced
from tests.kafka.cluster import KafkaCluster

ENOUGH = 60.0
"""Seconds for what takes less where nobody else is at work."""


def mend(cluster: KafkaCluster) -> None:
    """Returns when every broker runs, leads what it is preferred for and has what the others have.

    Of topics and groups only the brokers' own are left.
    """
    for broker in cluster.broker_ids:
        cluster.go_on(broker)
    for broker in cluster.broker_ids:
        cluster.wait_until_up(broker)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    wait_until_balanced(cluster, lambda: admin.elect_leaders(ElectionType.PREFERRED).result(ENOUGH))
    while not _is_empty(admin):
        time.sleep(PAUSE)


def _is_empty(admin: AdminClient) -> bool:
    """Whether nobody's topics and groups are there; deletes those that are."""
    listed = admin.list_consumer_groups(request_timeout=ENOUGH).result()
    groups = [group.group_id for group in listed.valid or ()]
    topics = [name for name in admin.list_topics(timeout=ENOUGH).topics if name[:2] != "__"]
    deleted = {
        **(admin.delete_consumer_groups(groups, request_timeout=ENOUGH) if groups else {}),
        **(admin.delete_topics(topics, operation_timeout=ENOUGH) if topics else {}),
    }
    for future in deleted.values():
        with suppress(KafkaException):  # what cannot be deleted yet is listed again
            future.result()
    return not (groups or topics or listed.errors)
