"""The state of one cluster's merge between two runs, as plain tuples, dicts and bytes."""

from dataclasses import dataclass
from typing import Any

from operators.merge.plan import Plan
from operators.schema.logs import Log

MergeState = tuple[Any, ...]
"""Version, cluster, the cluster's GUID, the last settled tick of each kind, the ticks that are not
over, the fills, the cluster's own id, and the last tick that each kind's target announced."""

STATE_VERSION = 1

_log = Log("mqpipe.merge")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a merge takes up of its state; see `TickBook` and `Fills` for what their parts are."""

    through: dict[str, int]
    ticks: list[dict[str, Any]]
    announced: dict[str, int]
    fills: tuple[Any, ...] | None
    cluster_id: str | None

    def state_of(self, plan: Plan) -> MergeState:
        """The state of a plan's cluster."""
        return (
            STATE_VERSION,
            plan.cluster,
            plan.guid,
            self.through,
            self.ticks,
            self.fills,
            self.cluster_id,
            self.announced,
        )


def cluster_of(state: MergeState) -> str:
    """The name of the cluster whose state it is."""
    return str(state[1])


def stored_in(state: MergeState, plan: Plan) -> Stored | None:
    """What a state holds of a plan's cluster; None where it is of another version or account."""
    if state[0] != STATE_VERSION or state[2] != plan.guid:
        _log.warning(
            "merge starts anew: its state is of another version or account",
            cluster=plan.cluster,
            version=state[0],
            guid=state[2],
        )
        return None
    # Earlier versions kept neither the cluster's own id nor the last ticks of targets.
    _, _, _, through, ticks, fills, *later = state
    return Stored(
        through,
        ticks,
        announced=later[1] if len(later) > 1 else through,
        fills=fills,
        cluster_id=later[0] if later else None,
    )
