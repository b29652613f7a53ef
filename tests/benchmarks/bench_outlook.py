"""What it costs a tick to say whether groups will lose what they have not read.

The derivation of a tick of 1,000 groups, each with commits on the 10 partitions of a topic of its own,
from readings that are made beforehand; beside it the same without the outlook, by turns.

    python -m tests.benchmarks.bench_outlook [--groups 1000] [--rounds 15] [--json FILE]
"""

from contextlib import ExitStack
from statistics import median
from time import process_time
from unittest.mock import patch

from operators.collect.reading.configs import TopicConfig
from operators.collect.reading.limits import Limits
from operators.derive import groups as of_groups
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.ticks import TickResult
from tests import tick_results
from tests.benchmarks.options import keep, parser_of

PARTITIONS = 10


def readings(groups: int, ticks: int) -> list[TickResult]:
    """Ticks in which each group falls behind by a little."""
    names = [f"t-{n}" for n in range(groups)]
    config = TopicConfig(1, 3_600_000, -1, "delete")
    limits = Limits(dict.fromkeys(names, config))
    made = []
    for n in range(ticks):
        ends = {name: [1_000 + 100 * n] * PARTITIONS for name in names}
        commits = {f"g-{name}": {name: [900 + 90 * n] * PARTITIONS} for name in names}
        written = {(name, 900 + 90 * n): tick_results.ms(n) - 90_000 for name in names}
        made.append(
            tick_results.groups(
                n, ends, commits, written=written, group_topics=10_000, limits=limits
            )
        )
    return made


def seconds(derivation: ClusterDerivation, result: TickResult) -> float:
    """CPU seconds of deriving a tick."""
    begun = process_time()
    derivation.derive(result)
    return process_time() - begun


def without() -> ExitStack:
    """The outlook left out."""
    patched = ExitStack()
    for module, name, instead in (
        (of_groups, "outlook_of", lambda *_: (None, None)),
        (of_groups, "joined", lambda *_: {}),
        (of_groups, "with_paces", lambda commits, *_: commits),
    ):
        patched.enter_context(patch.object(module, name, instead))
    return patched


def main() -> None:
    """Print CPU milliseconds a tick with and without."""
    parser = parser_of(__doc__, rounds=15)
    parser.add_argument("--groups", type=int, default=1_000)
    options = parser.parse_args()
    results = readings(options.groups, options.rounds + 1)
    both = ClusterDerivation("prod", KAFKA_RULES), ClusterDerivation("prod", KAFKA_RULES)
    taken: tuple[list[float], list[float]] = ([], [])
    for result in results:
        taken[0].append(seconds(both[0], result))
        with without():
            taken[1].append(seconds(both[1], result))
    # The first tick has nothing to compare with.
    figures = {
        name: 1000 * median(of[1:]) for name, of in zip(("with", "without"), taken, strict=True)
    }
    print(f"{options.groups:,} groups, {options.groups * PARTITIONS:,} partitions, CPU ms a tick:")
    print("  " + ", ".join(f"{name} {value:.1f}" for name, value in figures.items()))
    keep(figures, options.json)


if __name__ == "__main__":
    main()
