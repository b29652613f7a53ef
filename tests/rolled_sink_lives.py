"""Lives of a job whose sink has rows wait until they are published together, for unit tests."""

from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinks.deltalake.rolled import RolledDelta
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from sinks.rolled.settings import RollSettings
from tests.samples import NEW_YEAR, numbered, numbers_in, numbers_in_delta
from tests.sink_jobs import job_in

PARTS = ["sim-eu", "sim-us"]

States = dict[str, Any]
"""What the engine has stored of each partition."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A sink of this kind, its settings, and how the numbers of the rows in it are read."""

    settings: Callable[..., Any]
    sink: Callable[..., RolledParquet | RolledDelta]
    read: Callable[[Path], list[int]]


PARQUET = Kind(ParquetSettings, RolledParquet, numbers_in)
DELTA = Kind(DeltaLakeSettings, RolledDelta, numbers_in_delta)


class Job:
    """One life of a job with two partitions, under the test's clock (`now`, in milliseconds).

    It goes on from `states`, of the store `recovery`, in which the sink's step is `step`; files and logs lie below `path`. `before_build` is called when the
    sink is there and its partitions are not. The silent are looked at when the test calls `look`.
    """

    def __init__(
        self,
        kind: Kind,
        path: Path,
        states: States | None = None,
        rows: int = 10,
        every: float = 600.0,
        before_build: Callable[[], None] = lambda: None,
        recovery: str = "",
        step: str = "step",
        soon: bool = False,
        **more: Any,
    ) -> None:
        self.now = NEW_YEAR
        self.events: list[object] = []
        self.samples = path / "samples"
        self.states = dict(states or {})
        self._read = kind.read
        roll = RollSettings(rows=rows, every=every)
        self.sink = kind.sink(
            kind.settings(path=str(self.samples), roll=roll, **more),
            job_in(
                path / "state",
                run="r",
                parts=lambda _: PARTS,
                listener=self.events.append,
                recovery=recovery,
            ),
            clock=lambda: self.now,
            look_every=None,
            soon=soon,
        )
        before_build()
        self.parts: dict[str, Any] = {
            part: self.sink.build_part(step, part, self.states.get(part)) for part in PARTS
        }
        self.part = self.parts["sim-eu"]
        self._written: set[str] = set()

    def write(self, *numbers: int, part: str = "sim-eu") -> None:
        self.parts[part].write_batch([numbered(numbers, part)])
        self._written.add(part)

    def end_epoch(self) -> States:
        """As the engine does: snapshots of the partitions to which anything was written."""
        self.states |= {part: self.parts[part].snapshot() for part in sorted(self._written)}
        self._written.clear()
        return dict(self.states)

    def snapshot(self) -> States:
        """An epoch in which all partitions were written to, with what it started done."""
        self._written.update(PARTS)
        states = self.end_epoch()
        self.settle()
        return states

    def look(self, after: int = 600_000) -> None:
        """So many milliseconds later the sink looks, and what that starts is done."""
        self.now += after
        for part in self.parts.values():
            part.look()
        self.settle()

    def settle(self) -> None:
        for part in self.parts.values():
            if part._publishing is not None:
                futures.wait([part._publishing[1]])

    def close(self) -> None:
        """The engine closes the partitions and ends."""
        for part in self.parts.values():
            part.close()

    def drain(self) -> None:
        """Once the engine has ended, what waits is published."""
        self.close()
        self.sink.finish()

    @property
    def rows(self) -> list[int]:
        return self._read(self.samples)

    @property
    def logs(self) -> list[int]:
        """The numbers of the first partition's logs."""
        return sorted(int(log.stem) for log in self.samples.parent.glob("state/*/sim-eu/*.log"))
