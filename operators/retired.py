"""A source's partition that an earlier run had and this one has not."""

from typing import Any

from bytewax.inputs import StatefulSourcePartition


class RetiredPartition(StatefulSourcePartition[Any, Any]):
    """Ends at once. It is listed because Bytewax panics where one that has state is not."""

    def next_batch(self) -> list[Any]:
        """Nothing, ever."""
        raise StopIteration

    def snapshot(self) -> None:
        """No state, so that the name begins without one should it come back."""
        return
