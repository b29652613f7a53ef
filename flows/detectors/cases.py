"""The fleets and anomalies that detectors are held against, by name."""

from dataclasses import dataclass

from flows.config import Config
from flows.loading import parse

START = 1_767_571_200_000
"""2026-01-05T00:00:00Z, a Monday, in ms since 1970."""
DAY = 86_400_000

SEED = 10

_BASE = """\
interval: 60s
simulation:
  seed: {seed}
{simulation}
"""

_ORDINARY = """\
  fleets: [{name: bench}]
  anomalies:
    - {kind: spike, rate: 0.06, duration: 30m}
    - {kind: drop, rate: 0.06, duration: 30m}
    - {kind: partition_skew, rate: 0.06, duration: 30m}
    - {kind: poison_message, rate: 0.06, duration: 30m}
    - {kind: consumer_stall, rate: 0.12, duration: 30m}
    - {kind: slow_drain, rate: 0.12, duration: 30m}
    - {kind: retention_loss, rate: 0.12, duration: 30m}
    - {kind: rebalance_storm, rate: 0.12, duration: 30m}
    - {kind: broker_down, rate: 0.2, duration: 30m}
    - {kind: unclean_election, rate: 0.2, duration: 30m}
    - {kind: cpu_spike, rate: 0.2, duration: 30m}
    - {kind: memory_leak, rate: 0.2, duration: 2h}
    - {kind: disk_full, rate: 0.2, duration: 30m}
    - {kind: network_congestion, rate: 0.2, duration: 30m}
    - {kind: latency_spike, rate: 0.2, duration: 30m}"""


@dataclass(frozen=True, slots=True)
class Case:
    """One fleet over some days."""

    name: str
    meaning: str
    simulation: str
    """What stands under `simulation` in a configuration, but for the seed."""
    days: int

    @property
    def text(self) -> str:
        """Its configuration as it is written."""
        return _BASE.format(seed=SEED, simulation=self.simulation)

    @property
    def config(self) -> Config:
        """Its configuration."""
        return parse(Config, self.text, self.name)

    @property
    def end(self) -> int:
        """The end of its days, which begin at START."""
        return START + self.days * DAY


CASES = (
    Case("ordinary", "Each kind at a rate, of its ordinary strength, in a week.", _ORDINARY, 7),
)
"""What the page of docs/detectors.md shows."""
