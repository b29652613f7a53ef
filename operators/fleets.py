"""Simulated fleets as a Bytewax source: one input partition a shard.

Ticks and simulation are one step. Simulating is pure computation, so it needs no hand-over, and
Bytewax spreads source partitions evenly over workers, which hashing by key would not.
"""

import threading
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from operators.drain import Drain
from operators.events import TicksSimulated
from operators.retired import RetiredPartition
from operators.schedule import Alarm, Range, RealTime, Schedule, at_or_after, awake_at
from operators.schema.clock import utc_now
from operators.schema.events import Listener, nobody
from operators.schema.logs import Log
from operators.served import Served, Stretch
from operators.simulate.left_out import left_out
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec
from operators.ticks import Ticks

log = Log("mqpipe.simulate")

_STATE_VERSION = 2
BLOCK_ROWS = 65_536
"""Rows of a block of ticks, all entity types together: topics are most of them, some 50,000.

More cost memory and gain little; with fewer, a large cluster pays each tick what a block costs.
"""
_AT_ONCE = 2
"""Shards of one worker that catch up at the same time."""
_HELD_UP = 3_600_000
"""Milliseconds that a shard which runs always catches up, as when its process was stopped."""
_WAIT = timedelta(milliseconds=20)
"""How soon a shard asks for its turn again."""

FleetState = tuple[int, str, int, Any, tuple[Stretch, ...]]
"""Version, the shard's fingerprint, next due time (ms), the shard's own state, the stretches of time
that were served; version 1 has no fifth."""

KeyedBatches = list[tuple[str, pa.RecordBatch]]


class FleetSource(FixedPartitionedSource[tuple[str, pa.RecordBatch], FleetState | None]):
    """Samples of simulated clusters, keyed by the cluster; batches of one entity type.

    Unit of parallelism: the shard. Exactly once: a partition's state is its next tick and the
    shard's state, so a restart makes the same samples again. In real time the ticks missed while
    the process was down are made at once, up to `catch_up` milliseconds back. Where the clock was
    set back behind its first tick, the shard starts over there; ticks that were made are not made
    again, also where it comes to them a second time.

    Shards that are behind (all of an export, until its end) take turns, a few at a time on each
    worker: what is under way stays small, and files hold long stretches of few shards.

    A shard whose seed or shape changed starts over. `retired` as in `TargetSource`; a shard without
    state begins where it `began` before a kill, and makes the same samples again. `listener` gets
    ticks that were made.
    """

    def __init__(
        self,
        shards: Mapping[str, ShardSpec],
        interval: int,
        schedule: Schedule,
        drain: Drain,
        *,
        account_id: int | None = None,
        catch_up: int = 0,
        retired: frozenset[str] = frozenset(),
        began: Mapping[str, int] | None = None,
        listener: Listener = nobody,
    ) -> None:
        self._shards = shards
        self._began = began or {}
        self._interval = interval
        self._schedule = schedule
        self._drain = drain
        self._account_id = account_id
        self._listener = listener
        self._catch_up = catch_up
        self._retired = retired - shards.keys()
        self._turns = _Turns()
        for fleet, event, note in left_out(shards.values()):
            log.warning(event, fleet=fleet, note=note)

    def list_parts(self) -> list[str]:
        """Every shard, and what earlier runs had."""
        return sorted(self._shards.keys() | self._retired)

    def build_part(
        self, step_id: str, for_part: str, resume_state: FleetState | None
    ) -> StatefulSourcePartition[tuple[str, pa.RecordBatch], FleetState | None]:
        """Build a shard's partition, or one that ends at once for a retired name."""
        if for_part in self._retired:
            return RetiredPartition(for_part, resume_state)
        spec = self._shards[for_part]
        first = self._schedule.first(self._interval)
        shard_state, served = None, Served()
        if resume_state is None:
            first = min(first, at_or_after(self._began.get(for_part, first), self._interval))
        else:
            version, fingerprint, left_at, stored, *stretches = resume_state
            # The first version did not say since when it had served.
            served = Served([(0, left_at)] if version == 1 else stretches[0])
            free = served.next_after(first, self._interval)
            if fingerprint != spec.fingerprint:
                first = free
                log.warning("fleet starts anew", cluster=for_part, cause="seed or shape changed")
            elif isinstance(self._schedule, RealTime) and free < left_at:
                first = free
                log.warning("fleet starts anew", cluster=for_part, cause="the clock was set back")
            else:
                first, shard_state = at_or_after(left_at, self._interval), stored
        return _ShardPartition(
            for_part,
            Shard(spec, self._account_id, shard_state),
            spec.fingerprint,
            first,
            served,
            self._interval,
            self._schedule,
            self._drain,
            self._turns,
            self._catch_up,
            self._listener,
        )


class _Turns:
    """Which shards of each worker may catch up now; a worker is a thread."""

    def __init__(self) -> None:
        self._held: defaultdict[int, set[str]] = defaultdict(set)

    def take(self, shard: str) -> bool:
        held = self._held[threading.get_ident()]
        if shard not in held and len(held) >= _AT_ONCE:
            return False
        held.add(shard)
        return True

    def give_back(self, shard: str) -> None:
        self._held[threading.get_ident()].discard(shard)


class _ShardPartition(StatefulSourcePartition[tuple[str, pa.RecordBatch], FleetState | None]):
    def __init__(
        self,
        name: str,
        shard: Shard,
        fingerprint: str,
        first: int,
        served: Served,
        interval: int,
        schedule: Schedule,
        drain: Drain,
        turns: _Turns,
        catch_up: int,
        listener: Listener,
    ) -> None:
        self._name = name
        self._shard = shard
        self._fingerprint = fingerprint
        self._next = first
        self._interval = interval
        self._schedule = schedule
        self._drain = drain
        self._turns = turns
        self._catch_up = catch_up
        self._listener = listener
        self._served = served
        self._waits = False
        self._silent = False
        """Whether it makes no more and waits for the drain: it need not look at what is due."""
        self._alarm = Alarm(epoch=drain.epoch)
        if isinstance(schedule, RealTime):
            self._skip_before(schedule.clock() - catch_up)
            if first > schedule.first(interval):
                schedule.there_until(first)
        self._block = max(1, BLOCK_ROWS // max(1, shard.spec.entities))

    def next_batch(self) -> KeyedBatches:
        if isinstance(self._schedule, Range) and self._schedule.over(self._next):
            self._turns.give_back(self._name)
            raise StopIteration
        self._silent = self._drain.has_ended(self._schedule, self._next)
        if self._silent:
            return []
        due = self._due()
        self._waits = due > 1 and not self._turns.take(self._name)
        if due == 0 or self._waits:
            return []
        count = min(due, self._block)
        if isinstance(self._schedule, RealTime) and count == due:
            self._turns.give_back(self._name)
        ticks = Ticks(self._name, self._next, self._interval, count)
        self._served.add(ticks.start, ticks.end)
        self._go_on_at(ticks.end)
        made = [(self._name, batch) for batch in self._shard.step(ticks)]
        self._listener(TicksSimulated(self._name, count))
        return made

    def _due(self) -> int:
        """How many ticks are due, up to the next ones that are there."""
        if not isinstance(self._schedule, RealTime):
            return self._schedule.due(self._next, self._interval)
        self._skip_before(self._schedule.clock() - max(self._catch_up, _HELD_UP))
        due = self._schedule.due(self._next, self._interval)
        there = self._served.free_until(self._next)
        return due if there is None else min(due, -(-(there - self._next) // self._interval))

    def _skip_before(self, moment: int) -> None:
        earliest = at_or_after(moment, self._interval)
        if self._next < earliest:
            log.warning(
                "ticks skipped",
                cluster=self._name,
                ticks=(earliest - self._next) // self._interval,
                cause="longer ago than catch_up",
            )
            self._go_on_at(earliest)

    def _go_on_at(self, tick: int) -> None:
        self._next = self._served.next_after(tick, self._interval)
        if self._next != tick and isinstance(self._schedule, RealTime):
            self._schedule.there_until(self._next)

    def next_awake(self) -> datetime | None:
        now = utc_now()
        if self._waits:
            return self._alarm.at(now + _WAIT)
        if not isinstance(self._schedule, RealTime):
            return None
        look = self._drain.next_look()
        if not self._silent:
            look = min(look, awake_at(self._next, self._schedule.clock))
        return self._alarm.at(look)

    def snapshot(self) -> FleetState:
        self._alarm.epoch_ended()
        kept = self._shard.snapshot()
        return _STATE_VERSION, self._fingerprint, self._next, kept, self._served.stretches
