"""The data card: what a data set holds, in words, with all that is needed to make it again."""

from collections import Counter
from collections.abc import Sequence

import yaml

from flows.config import Config
from flows.datasets.files import WrittenCause, WrittenSeries
from flows.times import show_time

PHYSICS = """\
Nothing here was measured: it is computed, and the same seed gives the same values.

- Traffic follows a pattern by local time (hours, weekdays, seasons) with noise that is correlated in
  time; a cluster's messages are the sum of its topics'.
- A partition's leader carries its topic's traffic; brokers' rates are what their leaders carry.
- A group's backlog grows by what comes in and shrinks by what it consumes, as far as its capacity
  allows: `lag' = max(0, lag + in - out)`. The age of its oldest message follows.
- An anomaly takes hold of one cause (a broker that is down, a group's capacity, a topic's messages),
  with an onset, a plateau and a recovery, and the rest follows: leaders move, replicas fall
  behind, other brokers carry more, lag grows and is worked off.
- Where nothing could be measured (a broker that is down), the value before it stands.
- A tick is labelled where a metric of its entity differs from that of the same fleet without the
  anomaly. So a label lasts until the extra lag is gone, long after its cause has ended.
"""


def card(
    config: Config,
    start: int,
    end: int,
    index: Sequence[WrittenSeries],
    causes: Sequence[WrittenCause],
    version: str,
) -> str:
    """The card as Markdown. Times in ms since 1970."""
    types = Counter(series.entity_type for series in index)
    kinds = Counter(kind for kind, _ in {(cause.kind, cause.label) for cause in causes})
    ticks = sum(series.ticks for series in index)
    shaped = sum(series.shaped for series in index)
    simulation = config.model_dump(mode="json", include={"simulation"}, exclude_unset=True)
    return f"""\
# A simulated message-queue fleet, with anomalies and their causes

{len(index):,} series, {ticks:,} ticks of {config.interval:g} s from {show_time(start)} to {show_time(end)}
(exclusive), {shaped:,} of them labelled. Made by mqpipe {version}, seed {config.simulation.seed}.

| file | what is in it |
|---|---|
| `series.csv` | each file's entity, its type and metrics, and how many ticks a detector may learn from |
| `causes.csv` | each run of labelled ticks: the kind of anomaly, and the entity at which it began |

## Entities

{_list(types, "series")}

## Anomalies

{_list(kinds, "anomalies")}

## Physics

{PHYSICS}
## To make it again

```yaml
interval: {config.interval:g}s
{yaml.safe_dump(simulation, sort_keys=False, allow_unicode=True).rstrip()}
```
"""


def _list(counts: Counter[str], what: str) -> str:
    if not counts:
        return f"No {what}."
    return "\n".join(f"- {name}: {number:,} {what}" for name, number in sorted(counts.items()))
