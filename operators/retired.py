"""A source's partition that an earlier run had and this one has not."""

from typing import Any

from bytewax.inputs import StatefulSourcePartition

from operators.schema.logs import Log

log = Log("mqpipe.state")


class RetiredPartition(StatefulSourcePartition[Any, Any]):
    """Ends at once. It is listed because Bytewax panics where one that has state is not.

    What it had as its state is given up with this run, which the log says: once, for then it has none.
    """

    def __init__(self, name: str, state: Any) -> None:
        if state is not None:
            log.warning(
                "state forgotten",
                partition=name,
                cause="this configuration does not have it; should it come back it starts over, and no "
                "tick until then is reported as missed or made up for: give each configuration a "
                "recovery.path of its own",
            )

    def next_batch(self) -> list[Any]:
        """Nothing, ever."""
        raise StopIteration

    def snapshot(self) -> None:
        """No state, so that the name begins without one should it come back."""
        return
