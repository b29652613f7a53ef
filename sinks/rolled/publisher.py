"""The threads of a process that publish its segments beside the dataflow."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Protocol

from operators.schema.logs import Log
from sinks.rolled.waiting import Sealed

log = Log("mqpipe.sinks")

LOOK_EVERY = 1.0
"""Seconds between two looks at partitions to which nothing is written."""


class Partition(Protocol):
    """What is known here of a partition."""

    def look(self) -> None:
        """Publish what waits for too long already."""

    def left(self) -> Sequence[Sealed]:
        """All that is still to be published, once it is closed."""


class Epochs:
    """Counts the epochs of one worker of the engine in which it wrote rows.

    In each it first writes, then takes the snapshots of what was written to. When an epoch ends
    with its snapshots, the engine has stored those of all epochs before.
    """

    def __init__(self) -> None:
        self.ended = 0
        self._writing = False

    def write(self) -> None:
        """Rows are written: the first ones after snapshots are of another epoch."""
        self._writing = True

    def snapshot(self) -> int:
        """A snapshot is taken; gives which epoch it ends."""
        if self._writing:
            self.ended += 1
            self._writing = False
        return self.ended


class Publisher:
    """Publishes segments on one thread while the dataflow runs, and looks after silent partitions.

    `publish` is given sealed segments, those of a partition oldest first; it may be given one
    again. With `together` those of all partitions that wait are handed over in one call. Without
    it each partition's are by themselves, and when nothing else is left to do, `side_by_side`
    of them are published at a time. Every `look_every` seconds partitions are looked at;
    where that is None, they are not.
    """

    def __init__(
        self,
        publish: Callable[[Sequence[Sealed]], None],
        look_every: float | None,
        *,
        together: bool = False,
        side_by_side: int = 1,
    ) -> None:
        self._publish = publish
        self._look_every = look_every
        self._together = together
        self._side_by_side = side_by_side
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._lock = threading.Lock()
        self._queue: list[tuple[Sequence[Sealed], Future[None]]] = []
        self._partitions: list[Partition] = []
        self._open = 0
        self._nobody = threading.Event()
        self._epochs: dict[int, Epochs] = defaultdict(Epochs)

    def opened(self, partition: Partition) -> Epochs:
        """Look at this partition from now on; gives the epochs of the worker that opens it."""
        with self._lock:
            self._partitions.append(partition)
            self._open += 1
            if self._open == 1 and self._look_every is not None:
                self._nobody = threading.Event()
                arguments = (self._look_every, self._nobody)
                threading.Thread(
                    target=self._look, args=arguments, name="publish-age", daemon=True
                ).start()
            return self._epochs[threading.get_ident()]

    def closed(self) -> None:
        """One of the partitions was closed."""
        with self._lock:
            self._open -= 1
            if not self._open:
                self._nobody.set()

    def submit(self, work: Callable[[], None]) -> None:
        """Do something else on the thread that publishes, when it is its turn."""
        self._executor.submit(work)

    def publish(self, segments: Sequence[Sealed]) -> "Future[None]":
        """Publish sealed segments of one partition, oldest first, when it is their turn."""
        future: Future[None] = Future()
        with self._lock:
            self._queue.append((segments, future))
        self._executor.submit(self._publish_next)
        return future

    def finish(self) -> None:
        """Publish all that is left, and wait for it; raises the first error.

        Call it once the engine has ended well: by then it has stored the last snapshots.
        """
        left = [segments for partition in self._partitions if (segments := partition.left())]
        works = [list(chain(*left))] if self._together else left
        with ThreadPoolExecutor(self._side_by_side, thread_name_prefix="finish") as executor:
            done = [executor.submit(self._publish, segments) for segments in works]
        for future in done:
            future.result()

    def _publish_next(self) -> None:
        with self._lock:
            count = len(self._queue) if self._together else 1
            entries, self._queue = self._queue[:count], self._queue[count:]
        turn = [entry for entry in entries if entry[1].set_running_or_notify_cancel()]
        try:
            self._publish(list(chain(*(segments for segments, _ in turn))))
        except Exception as error:
            for _, future in turn:
                future.set_exception(error)
        else:
            for _, future in turn:
                future.set_result(None)

    def _look(self, every: float, nobody: threading.Event) -> None:
        while not nobody.wait(every):
            for partition in list(self._partitions):
                try:
                    partition.look()
                except OSError as error:
                    log.warning("rows wait longer than roll.every", error=str(error))
