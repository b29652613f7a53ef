"""What a job did not get done: said as it ends, and a failure only where it is asked to be one."""

from collections.abc import Sequence

from flows.observe.picture import Picture
from flows.units import size


def shortfalls(picture: Picture) -> Sequence[str]:
    """In what a job fell short, in words; empty where all ticks and samples went where they should.

    None of it is lost: a tick that failed is reported, and what waits or was refused is kept.
    """
    found = []
    completed = sum(target.completed for target in picture.targets)
    failed = sum(target.failed for target in picture.targets)
    if failed and not completed:
        found.append(f"every tick failed ({failed:,}): `mqpipe check --connect` says what is wrong")
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
        found.append(
            f"{picture.unreadable:,} messages held what is no sample, and are in dead letters"
        )
    return found
