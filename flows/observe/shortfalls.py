"""What a job did not get done: said as it ends, and a failure only where it is asked to be one."""

from collections.abc import Sequence

from flows.observe.picture import Picture
from flows.units import of, size


def shortfalls(picture: Picture) -> Sequence[str]:
    """In what a job fell short, in words; empty where all ticks and samples went where they should.

    None of it is lost: a tick that failed is reported, and what waits or was refused is kept.
    """
    found = []
    completed = sum(target.completed for target in picture.targets)
    failing = [target for target in picture.targets if target.failed]
    if failing and not completed:
        ticks = sum(target.failed for target in failing)
        reported = next((t for t in failing if t.error), failing[0])
        found.append(
            f"nothing was collected: each tick failed, {of(ticks, 'tick')} of "
            f"{of(len(failing), 'target')}; "
            f"{reported.key}: {reported.error_class}: {reported.error}; `mqpipe check --connect` says what is "
            "wrong with each"
        )
    for sink in picture.sinks:
        if sink.unsent_bytes:
            found.append(
                f"{sink.name}: {size(sink.unsent_bytes)} wait in its spool, and are sent at the next "
                "start"
            )
        if dead := sum(sink.dead.values()):
            found.append(
                f"{sink.name}: {dead:,} dead letters, which `mqpipe redeliver` sends again"
            )
    if picture.unreadable:
        found.append(f"{of(picture.unreadable, 'message')} held what is no sample: in dead letters")
    return found
