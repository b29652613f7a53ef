"""`mqpipe redeliver`: dead letters, and what waits in spools, once more."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from flows.config import Config
from flows.errors import CommandError, UsageError
from flows.sinks import job_context, sinks_of, usage_errors
from flows.state import JobState, hold
from flows.visible import say
from sinks.dead_letters import unreadable_messages
from sinks.patience import Patience
from sinks.redeliver import Redelivery
from sinks.spool.errors import SpoolInUseError

_PATIENCE = Patience(attempts=5)


def redeliver(config: Config) -> int:
    """Send every network sink's dead letters and spool again; 1 where some were not delivered.

    What fails is kept.

    Raises:
        UsageError: the config has no network sink, or the licence key cannot be read.
        StateError: a live run has this state, or a live replay one beside it: it may be writing
            dead letters.
    """
    state = config.recovery.path
    job = replace(job_context(config, JobState(state / "run", "redeliver")), patience=_PATIENCE)
    spooling = [(s.name, s.redeliver) for s in sinks_of(config) if s.redeliver is not None]
    if not spooling:
        raise UsageError("nothing to redeliver: the config has no sink that spools")
    codes = []
    with ExitStack() as held:
        for directory in (state / "run", *state.glob("replay-*")):
            held.enter_context(hold(directory))
        for name, send_again in spooling:
            try:
                with usage_errors():
                    outcome = send_again(job)
            except SpoolInUseError as error:
                raise CommandError(str(error)) from error
            codes.append(_report(name, outcome))
        if unreadable := unreadable_messages(job.letters.path):
            say(
                f"{unreadable:,} messages that held no samples stay in {job.letters.path}: no sink takes them"
            )
    return max(codes)


def _report(sink: str, outcome: Redelivery) -> int:
    routes = sorted(route for route in {*outcome.delivered_by, *outcome.dead_by} if route)
    say(
        f"{sink}: {_by_route(outcome.delivered_by, routes)} samples delivered, "
        f"{_by_route(outcome.dead_by, routes)} stay dead letters, "
        f"{outcome.spool_bytes:,} bytes wait in the spool"
    )
    if outcome.problem is not None:
        say(f"mqpipe: {sink}: {outcome.problem}", err=True)
    return 1 if outcome.problem or outcome.dead or outcome.spool_bytes else 0


def _by_route(counts: Mapping[str, int], routes: Sequence[str]) -> str:
    """A count; of a sink with several routes one each, for not all of them take each sample."""
    if len(routes) < 2:
        return f"{sum(counts.values()):,}"
    without = {"no route": counts[""]} if counts.get("") else {}
    each = {route: counts.get(route, 0) for route in routes} | without
    return " and ".join(f"{count:,} ({route})" for route, count in each.items())
