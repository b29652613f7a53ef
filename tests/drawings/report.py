"""The picture of a report in the documentation: the top of the page, as a browser shows it.

    python -m tests.drawings.report [--out FILE]

It takes a Chromium. What is drawn is a simulated day with a broker that was down and a group that stood still.
"""

import argparse
import tempfile
from pathlib import Path

from flows.report.command import ReportOptions, report
from tests.browser import browser
from tests.mqpipe import mqpipe

CONFIG = """
interval: 30s
simulation:
  fleets:
    - {name: shop-eu, clusters: 2, brokers: 6, topics: 20, groups: 12, pattern: business_hours}
  anomalies:
    - {kind: broker_down, entity: shop-eu-1/broker-2, start: "2026-01-05T10:00:00Z", duration: 90m}
    - {kind: consumer_stall, entity: shop-eu-2/billing, start: "2026-01-05T14:00:00Z", duration: 2h}
"""
DAY = ("--start", "2026-01-05", "--end", "2026-01-06", "--out", "day")
WIDTH, HEIGHT = 1240, 1060


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/assets/report.png"))
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "c.yaml").write_text(CONFIG)
        ended = mqpipe(folder, "export", "c.yaml", *DAY)
        assert ended.code == 0, ended.err
        report(str(folder / "day"), ReportOptions(folder / "report.html"))
        with browser(folder / "profile") as window:
            window.open(folder / "report.html", WIDTH, "light")
            window.resize(WIDTH, HEIGHT)
            for number in range(4):
                shown = f"document.querySelectorAll('.plot')[{number}]"
                window.wait_for(f"{shown}.dataset.state")
            window.run("document.querySelector('h1').textContent = 'day'")
            out.write_bytes(window.picture())


if __name__ == "__main__":
    main()
