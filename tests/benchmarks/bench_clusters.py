"""Many clusters at a short interval: 60 at 2 s in hybrid mode, whose gaps are filled after 1 s.

All are one local broker, so what is measured is what a cluster costs. Each build runs by itself:
this one, and the one that `--beside` names. Shown are ticks and how many of them completed, the
share of a core (of all the time, and of its first and last quarter: it is not to grow), the most
threads, and memory after a quarter of the time and at the end.

    python -m tests.benchmarks.bench_clusters [--clusters 60] [--seconds 600] [--beside PATH]
        [--json FILE]
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.child_costs import ROOT, cpu_seconds, memory
from tests.benchmarks.options import keep, parser_of
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import commit, create_topic, produce

SETTLE = 10.0
"""Seconds from the start that are not counted."""


def configured(servers: str, clusters: int, topic: str) -> str:
    """The configuration: each cluster expects what is there."""
    expect = {"brokers": [1], "topics": [topic], "groups": ["billing"]}
    return yaml.safe_dump(
        {
            "mode": "hybrid",
            "interval": "2s",
            "clusters": [
                {
                    "name": f"cluster-{n:02}",
                    "bootstrap_servers": servers,
                    "expect": expect,
                    "like": "sim",
                }
                for n in range(clusters)
            ],
            "simulation": {"fleets": [{"name": "sim"}]},
            "fill": {"grace": "1s"},
            "sinks": {"parquet": {"path": "samples"}},
            "metrics": {"listen": None},
        }
    )


def measured(root: Path, configuration: str, seconds: float) -> dict[str, Any]:
    """A run of one build."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w") as log:
        Path(folder, "c.yaml").write_text(configuration)
        command = [str(root.resolve() / ".venv/bin/mqpipe"), "run", "c.yaml", "--no-live"]
        with subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
            try:
                found = _watched(process.pid, seconds)
            finally:
                process.terminate()
        lines = Path(folder, "log").read_text().splitlines()
    # A run that was ended by force does not say how its ticks went.
    ended = next((json.loads(line) for line in lines if '"run ended"' in line), None)
    if ended is not None:
        ticks = ended["ticks_completed"] + ended["ticks_failed"]
        found |= {"ticks": ticks, "completed": ended["ticks_completed"] / ticks}
    return {"status": process.returncode, **found}


def _watched(pid: int, seconds: float) -> dict[str, Any]:
    time.sleep(SETTLE)
    used, begun = cpu_seconds(pid), time.monotonic()
    threads: list[int] = []
    held: list[float] = []
    taken: list[tuple[float, float]] = []
    while (passed := time.monotonic() - begun) < seconds:
        threads.append(len(list(Path(f"/proc/{pid}/task").iterdir())))
        held.append(memory(pid) / 2**20)
        taken.append((time.monotonic(), cpu_seconds(pid)))
        time.sleep(1)
    quarter = len(taken) // 4
    return {
        "core_share": (cpu_seconds(pid) - used) / passed,
        "first_quarter": _share(taken[0], taken[quarter]),
        "last_quarter": _share(taken[-1 - quarter], taken[-1]),
        "threads": max(threads),
        "quarter_mb": _middle(held[len(held) // 4 : len(held) // 2]),
        "end_mb": _middle(held[-len(held) // 4 :]),
    }


def _share(since: tuple[float, float], until: tuple[float, float]) -> float:
    """Of a core, between two moments and what was used by then."""
    return (until[1] - since[1]) / (until[0] - since[0])


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--clusters", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--beside", type=Path, metavar="PATH", help="a worktree of another build")
    options = parser.parse_args()
    builds = {"mqpipe": ROOT} | ({"beside": options.beside} if options.beside else {})
    rows = []
    with KafkaCluster() as kafka:
        topic = create_topic(kafka)
        produce(kafka, topic, [5, 0, 7])
        commit(kafka, topic, "billing", [2, 0, 7])
        configuration = configured(kafka.bootstrap_servers, options.clusters, topic)
        for name, root in builds.items():
            rows.append({"build": name, **measured(root, configuration, options.seconds)})
            print(rows[-1], flush=True)
    keep({"clusters": options.clusters, "seconds": options.seconds, "rows": rows}, options.json)


if __name__ == "__main__":
    main()
