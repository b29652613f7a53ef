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
class FleetCase:
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


_OVERLAP = """\
  fleets: [{name: bench}]
  anomalies:
    - {kind: spike, rate: 0.2, duration: 30m, overlap: consumer_stall}
    - {kind: slow_drain, rate: 0.3, duration: 30m, overlap: rebalance_storm}
    - {kind: broker_down, rate: 0.3, duration: 30m, overlap: poison_message}
    - {kind: latency_spike, rate: 0.3, duration: 30m, overlap: disk_full}"""

_HOLIDAY = """\
  fleets: [{name: bench, time_zone: Europe/Berlin, holidays: [2026-01-06]}]
  anomalies:
    - {kind: lull, rate: 0.15, duration: 24h, at: "00:00"}
    - {kind: consumer_stall, rate: 0.3, duration: 30m}"""

_SEAM = """\
  fleets: [{name: bench, time_zone: Europe/Berlin}]
  anomalies:
    - {kind: spike, rate: 0.2, duration: 30m, at: "00:00"}
    - {kind: consumer_stall, rate: 0.3, duration: 30m, at: "00:00"}
    - {kind: broker_down, rate: 0.5, duration: 30m, at: "00:00"}"""

_DRIFT = """\
  fleets:
    - name: bench
      pattern:
        kind: product
        of:
          - business_hours
          - {kind: growth, rate: 2, since: 2026-01-05}
          - {kind: step, start: 2026-01-07, factor: 1.3}
  anomalies:
    - {kind: spike, rate: 0.2, duration: 30m}
    - {kind: slow_drain, rate: 0.3, duration: 30m}
    - {kind: cpu_spike, rate: 0.5, duration: 30m}"""

_GAPS = """\
  fleets: [{name: bench, gaps: 0.05}]
  anomalies:
    - {kind: drop, rate: 0.2, duration: 30m}
    - {kind: rebalance_storm, rate: 0.4, duration: 30m}
    - {kind: broker_down, rate: 1, duration: 30m}"""

CASES = (
    FleetCase(
        "ordinary", "Each kind at a rate, of its ordinary strength, in a week.", _ORDINARY, 7
    ),
    FleetCase(
        "overlap", "Half-way through each, another begins: where it is, or elsewhere.", _OVERLAP, 4
    ),
    FleetCase(
        "holiday",
        "Topics fall to what a holiday brings on days that are none, and there is a holiday.",
        _HOLIDAY,
        4,
    ),
    FleetCase("seam of a day", "Everything begins at midnight, when batch jobs do.", _SEAM, 4),
    FleetCase(
        "drift", "Traffic grows by the day and steps up on the third, which is well.", _DRIFT, 4
    ),
    FleetCase(
        "gaps",
        "A twentieth of each entity's samples does not come, ten minutes at a time.",
        _GAPS,
        2,
    ),
)
"""What the page of docs/detectors.md shows; the last is the smallest."""

DIFFICULTIES = (0.0, 0.25, 0.5, 0.75)


def harder(difficulty: float, days: int = 3) -> FleetCase:
    """The ordinary case at a difficulty."""
    return FleetCase(
        f"difficulty {difficulty}", "", f"  difficulty: {difficulty}\n{_ORDINARY}", days
    )
