"""Progress of long work on a terminal."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def samples_progress(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while the block runs; call what is yielded with rows done.

    Any thread may call it. Where it is not `shown` the call does nothing.
    """
    if not shown:
        yield lambda _rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    lock = threading.Lock()
    with Progress(
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.completed:,.0f} samples"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        refresh_per_second=4,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=total, rate="")

        def advance(rows: int) -> None:
            with lock:
                speed = progress.tasks[0].speed
                rate = f"{speed:,.0f}/s" if speed else ""
                progress.update(task, advance=rows, rate=rate)

        yield advance


@contextmanager
def stages(shown: bool) -> Iterator[Callable[[str], None]]:
    """A line on standard error while the block runs; call what is yielded with what is done now.

    Where it is not `shown` the call does nothing.
    """
    if not shown:
        yield lambda _stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
