"""Circuit breakers: a target that keeps failing is left alone, and probed now and then."""

from dataclasses import dataclass

from operators.pool.settings import BreakerSettings
from operators.pool.stats import BreakerState


@dataclass(slots=True)
class _TargetHealth:
    failures: int = 0
    open: bool = False
    probe_at: float = 0.0
    abandoned: int = 0


class Breakers:
    """The breakers of a pool's targets. Only targets in trouble take memory.

    A breaker opens after `failures` failed tasks in a row, or when `size` attempts of its target
    go on after their time-out. Open, it lets one task of one attempt through every `probe`
    seconds, as long as fewer than `size` are abandoned. A completed task closes it.
    """

    def __init__(self, settings: BreakerSettings, size: int) -> None:
        self._settings = settings
        self._size = size
        self._targets: dict[str, _TargetHealth] = {}

    def allows(self, key: str, now: float, attempts: int) -> int:
        """How many of `attempts` a new task may take: all, 1 for a probe, or 0."""
        target = self._targets.get(key)
        if target is None or not target.open:
            return attempts
        return 1 if now >= target.probe_at and target.abandoned < self._size else 0

    def failed(self, key: str, now: float) -> bool:
        """A task failed; answers whether that opened the breaker."""
        target = self._targets.setdefault(key, _TargetHealth())
        target.failures += 1
        if not target.open and target.failures < self._settings.failures:
            return False
        return self._open(target, now)

    def completed(self, key: str) -> bool:
        """A task completed; answers whether that closed the breaker."""
        target = self._targets.get(key)
        if target is None:
            return False
        closed, target.open, target.failures = target.open, False, 0
        self._forget(key, target)
        return closed

    def abandoned(self, key: str, now: float) -> bool:
        """An attempt goes on after its time-out; answers whether that opened the breaker."""
        target = self._targets.setdefault(key, _TargetHealth())
        target.abandoned += 1
        return target.abandoned >= self._size and self._open(target, now)

    def returned(self, key: str) -> None:
        """An abandoned attempt ended after all."""
        target = self._targets[key]
        target.abandoned -= 1
        self._forget(key, target)

    def states(self, now: float) -> list[BreakerState]:
        """Every target in trouble. Any thread may ask."""
        return [
            BreakerState(
                key,
                target.failures,
                target.open,
                max(0.0, target.probe_at - now) if target.open else 0.0,
                target.abandoned,
            )
            for key, target in self._targets.copy().items()
        ]

    def _open(self, target: _TargetHealth, now: float) -> bool:
        opened, target.open = not target.open, True
        target.probe_at = now + self._settings.probe
        return opened

    def _forget(self, key: str, target: _TargetHealth) -> None:
        if not target.failures and not target.abandoned and not target.open:
            del self._targets[key]
