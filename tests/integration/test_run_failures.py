"""`mqpipe run` beside brokers that die and hang: no tick is lost, and the loss is seen in time."""

import time
from pathlib import Path

import polars as pl
import pytest

from tests.kafka.brokers_view import wait_until_out
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import commit, create_topic, produce
from tests.mqpipe import samples, start, stop, wait_for_log
from tests.ports import PortClaim
from tests.served_health import wait_for_watermark

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

INTERVAL = 4
"""Seconds between ticks."""
SEEN_WITHIN = 2
"""Ticks due after the cluster itself knows of a loss: the last of them shows it."""
CONFIG = """
mode: infrastructure
interval: {interval}s
clusters:
  - name: real
    bootstrap_servers: {bootstrap}
    broker_metrics: {{{pages}}}
sinks: {{parquet: {{path: samples}}}}
recovery: {{path: state, epoch: 1s}}
metrics: {{listen: "{listen}"}}
"""


def row_at(frame: pl.DataFrame, due: int) -> dict[str, object]:
    """The one row of a tick that is due at so many seconds since the epoch."""
    (row,) = frame.filter(pl.col("timestamp").dt.epoch("s") == due).to_dicts()
    return row


def test_a_run_goes_on_and_shows_what_is_lost(mended_kafka3: KafkaCluster, tmp_path: Path) -> None:
    """A broker is killed and comes back, another hangs and goes on: the run ends well.

    Each target has a row for each tick, and within two ticks what the cluster itself knows.
    """
    kafka = mended_kafka3
    topic = create_topic(kafka, 6, 3)
    produce(kafka, topic, [5] * 6)
    for number in range(6):
        commit(kafka, topic, f"group-{number}", [1] * 6)
    pages = ", ".join(f'{broker}: "{url}"' for broker, url in kafka.metrics_urls.items())
    with PortClaim() as port:
        listen = f"127.0.0.1:{port.port}"
        text = CONFIG.format(
            interval=INTERVAL, bootstrap=kafka.bootstrap_servers, pages=pages, listen=listen
        )
        (tmp_path / "c.yaml").write_text(text)
        process = start(tmp_path, "run", "c.yaml", "--no-live")
        wait_for_log(process, "run started")
        losses: list[tuple[int, int]] = []
        for broker, fail, mend in ((1, kafka.kill, kafka.start), (2, kafka.pause, kafka.resume)):
            fail(broker)
            under_replicated = wait_until_out(kafka, broker)
            shown = (int(time.time()) // INTERVAL + SEEN_WITHIN) * INTERVAL
            losses.append((shown, under_replicated))
            # The tick that shows it is over where samples of the next are there.
            wait_for_watermark(process, listen, "collected", (shown + INTERVAL) * 1000)
            mend(broker)
            kafka.wait_until_up(broker)
        ended = stop(process)
    assert ended.code == 0, ended.err[-4000:]

    clusters = samples(tmp_path / "samples", "cluster")
    for shown, under_replicated in losses:
        row = row_at(clusters, shown)
        assert row["cluster.activeBrokerCount"] == 2
        assert row["cluster.underReplicatedPartitions"] == under_replicated
    ticks = samples(tmp_path / "samples", "collection")
    for kind in ("brokers", "topics", "groups"):
        due = ticks.filter(target_kind=kind)["timestamp"].dt.epoch("s").sort().to_list()
        assert due == list(range(due[0], due[-1] + 1, INTERVAL)), kind
    (said,) = set(
        ticks.filter(target_kind="brokers")
        .filter(pl.col("timestamp").dt.epoch("s") == losses[0][0])
        .get_column("collection.error")
    )
    assert "metrics page of broker 1 " in said
