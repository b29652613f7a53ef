"""The data card: what is counted, and a configuration that makes the same set again."""

import re
from pathlib import Path

from flows.config import Config
from flows.datasets.card import card
from flows.datasets.tsb_ad import write_tsb_ad
from flows.loading import parse
from tests.unit.flows.datasets.some_series import series

CONFIG = """
interval: 15s
simulation: {seed: 7, fleets: [{name: sim, brokers: 2}]}
sinks: {parquet: {path: samples}}
"""
DAY = 86_400_000


def test_it_counts_series_and_anomalies_and_can_be_made_again(tmp_path: Path) -> None:
    """Runs of one anomaly in several files are one anomaly."""
    config = parse(Config, CONFIG, "c.yaml")
    flags = [0, 0, 0, 1, 0, 1]
    index, causes = write_tsb_ad(tmp_path, [series(flags), series(flags, "sim/x")], univariate=True)
    text = card(config, 20_454 * DAY, 20_455 * DAY, index, causes, "1.2")
    assert "4 series, 24 ticks of 15 s from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z" in text
    assert "8 of them labelled. Made by mqpipe 1.2, seed 7." in text
    assert "- broker: 4 series" in text
    assert "- broker_down: 1 anomalies" in text
    (again,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    made = parse(Config, again + "sinks: {parquet: {path: samples}}", "card.yaml")
    assert (made.interval, made.simulation) == (config.interval, config.simulation)


def test_a_set_without_anomalies_says_so() -> None:
    """And without series."""
    text = card(parse(Config, CONFIG, "c.yaml"), 0, DAY, [], [], "1.2")
    assert "No series." in text
    assert "No anomalies." in text
