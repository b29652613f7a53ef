"""`mqpipe redeliver`: dead letters, and what waits in spools, once more."""

from contextlib import ExitStack

import typer

from flows.config import Config
from flows.delivering import destinations
from flows.errors import CommandError, UsageError
from flows.state import hold
from flows.visible import visible
from sinks.redeliver import Redelivery
from sinks.redeliver import redeliver as send_again
from sinks.spool.store import SpoolInUseError


def redeliver(config: Config) -> int:
    """Send every network sink's dead letters and spool again; 1 where some were not delivered.

    What fails is kept.

    Raises:
        UsageError: the config has no network sink.
        StateError: a live run has this state, or a live replay one beside it: it may be writing
            dead letters.
    """
    if not any(destinations(config)):
        raise UsageError("nothing to redeliver: the config has no sink that spools")
    codes = []
    state = config.recovery.path
    with ExitStack() as held:
        for job in (state / "run", *state.glob("replay-*")):
            held.enter_context(hold(job))
        for destination, spool in destinations(config):
            try:
                outcome = send_again(destination, spool, config.dead_letters)
            except SpoolInUseError as error:
                raise CommandError(str(error)) from error
            codes.append(_report(destination.name, outcome))
    return max(codes)


def _report(sink: str, outcome: Redelivery) -> int:
    typer.echo(
        f"{sink}: {outcome.delivered:,} samples delivered, {outcome.dead:,} stay dead letters, "
        f"{outcome.spool_bytes:,} bytes wait in the spool"
    )
    if outcome.problem is not None:
        typer.echo(visible(f"mqpipe: {sink}: {outcome.problem}"), err=True)
    return 1 if outcome.problem or outcome.dead or outcome.spool_bytes else 0
