"""Log lines: their format, which events become one, and what native code writes."""

import asyncio
import contextlib
import io
import json
import logging
import os
import pty
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from flows.observe.event_log import EVERY, EventLog, RateLimit
from flows.observe.logs import LogHandler, configure_logs
from flows.observe.observation import observe
from flows.observe.picture import Job
from flows.observe.settings import MetricsSettings
from flows.standard_streams import PeopleStream
from operators.drain import Drain
from operators.events import BreakerOpened, CollectedInPart, TaskCompleted, TaskFailed, TaskStarted
from operators.merge.coverage import Coverage
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.schema.logs import Log
from operators.ticks import Outcome
from sinks.events import DeliveryRetried, SamplesDead, SamplesWritten
from tests import job_pictures as p

Lines = Callable[[], list[dict[str, object]]]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def configured() -> Iterator[Callable[[str], LogHandler]]:
    """`configure_logs`, undone after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield configure_logs
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def lines(configured: Callable[[str], LogHandler]) -> Iterator[Lines]:
    """What was logged since it was last asked, at debug and above."""
    stream = io.StringIO()
    with configured("DEBUG").to(stream):

        def read() -> list[dict[str, object]]:
            text = stream.getvalue()
            stream.seek(0)
            stream.truncate()
            return [json.loads(line) for line in text.splitlines()]

        yield read


def failed(
    key: str = "prod/topics", error_class: str = "timeout", error: str = "no answer"
) -> TaskFailed:
    return TaskFailed("topics", key, Outcome.FAILED, 3, 9.0, error_class, error)


def test_a_line_is_one_json_object(lines: Lines) -> None:
    """mqpipe's and the standard library's lines look the same, exceptions included."""
    Log("a").info("hello", number=1)
    logging.getLogger("b").warning("plain %s", "text", extra={"key": "value"})
    try:
        int("why")
    except ValueError:
        Log("c").exception("broken")
    one, two, three = lines()
    assert (one["event"], one["level"], one["logger"], one["number"]) == ("hello", "info", "a", 1)
    assert str(one["timestamp"]).endswith("Z")
    assert (two["event"], two["level"], two["key"]) == ("plain text", "warning", "value")
    assert "ValueError: invalid literal" in str(three["exception"])


def test_a_line_above_the_live_table_is_plain(configured: Callable[[str], LogHandler]) -> None:
    """Time, level, event and fields, through the table's console and nowhere else."""
    handler = configured("INFO")
    stream, terminal = io.StringIO(), io.StringIO()
    with handler.to(stream), handler.above(Console(file=terminal, width=40)):
        Log("a").warning("task failed", target="prod/brokers", error="[red]" * 9)
    time, _, rest = terminal.getvalue().partition(" ")
    assert len(time.split(":")) == 3
    reported = "warning  task failed target=prod/brokers error=" + "[red]" * 9
    # On a narrow terminal it breaks between words, where that can be.
    assert rest.splitlines()[1].strip() == "target=prod/brokers"
    assert "".join(rest.split()) == "".join(reported.split())
    assert stream.getvalue() == ""


def test_no_name_in_a_line_for_people_is_a_command(
    configured: Callable[[str], LogHandler],
) -> None:
    """Control characters are written out, in fields, native lines and tracebacks."""
    handler = configured("INFO")
    terminal = io.StringIO()
    with handler.above(Console(file=terminal, width=200)):
        Log("a").warning("task failed", target="a\x1b]0;t\x07\r\nb")
        Log("stderr").warning("one\x1b[2J\ntwo")
        try:
            int("bad \x1b[2J name")
        except ValueError:
            Log("c").exception("broken")
    text = terminal.getvalue()
    assert {c for c in text if not c.isprintable()} == {"\n"}
    assert r"target=a\x1b]0;t\x07\r\nb" in text
    assert "one\\x1b[2J\ntwo\n" in text
    assert r"ValueError: invalid literal" in text


def test_the_log_says_how_many_lines_were_lost(configured: Callable[[str], LogHandler]) -> None:
    """As soon as lines are taken again."""
    reading, writing = os.pipe()
    handler = configured("INFO")
    stream = PeopleStream(writing, room=10_000)
    stream.write("z" * 11_000 + "\n")
    with handler.to(stream):
        Log("a").info("back")
    assert stream.drain(10)
    first, second = map(json.loads, os.read(reading, 10_000).splitlines())
    assert (first["event"], first["level"], first["lines"]) == ("log lines lost", "warning", 1)
    assert second["event"] == "back"
    stream.close()
    os.close(reading)
    os.close(writing)


def test_a_failed_task_is_a_warning_with_its_cause(lines: Lines) -> None:
    """Target, error class, error and attempts are fields; outcomes differ in words."""
    log = EventLog()
    log.hear(failed())
    log.hear(TaskFailed("topics", "a/topics", Outcome.OVERRUN, 0, 0.0, "overrun", "still runs"))
    log.hear(TaskFailed("topics", "b/topics", Outcome.REFUSED, 0, 0.0, "queue_full", "1000 wait"))
    first, *others = lines()
    fields = {"level", "event", "target", "error_class", "error", "attempts", "suppressed"}
    assert {key: first[key] for key in fields} == {
        "level": "warning",
        "event": "task failed",
        "target": "prod/topics",
        "error_class": "timeout",
        "error": "no answer",
        "attempts": 3,
        "suppressed": 0,
    }
    assert [line["event"] for line in others] == ["task skipped", "task refused"]


def test_a_tick_that_lacks_a_part_is_a_warning(lines: Lines) -> None:
    """With what and why; the same target and class once a minute."""
    log = EventLog(clock := Clock())
    denied = CollectedInPart("prod/groups", "authorization", "describe g: grant Describe")
    for _ in range(3):
        log.hear(denied)
    log.hear(CollectedInPart("prod/topics", "page", "no page"))
    first, other = lines()
    assert first["event"] == "collected in part"
    assert (first["level"], first["target"], first["error"]) == (
        "warning",
        "prod/groups",
        "describe g: grant Describe",
    )
    assert other["target"] == "prod/topics"
    clock.now = EVERY
    log.hear(denied)
    assert [line["suppressed"] for line in lines()] == [2]


def test_the_same_failure_is_reported_once_a_minute(lines: Lines) -> None:
    """The next line says how many were suppressed; other targets and classes have their own."""
    clock = Clock()
    log = EventLog(clock)
    for _ in range(5):
        log.hear(failed())
    log.hear(failed(error_class="refused"))
    log.hear(failed(key="other/topics"))
    assert [line["error_class"] for line in lines()] == ["timeout", "refused", "timeout"]
    clock.now = EVERY
    log.hear(failed())
    assert [line["suppressed"] for line in lines()] == [4]


def test_a_rate_limit_counts_what_nobody_was_shown() -> None:
    """What was suppressed and not yet reported adds up over all things."""
    limit = RateLimit(10.0, clock := Clock())
    assert [limit.admit("a"), limit.admit("a"), limit.admit("b"), limit.admit("b")] == [
        0, None, 0, None,
    ]  # fmt: skip
    assert limit.suppressed == 2
    clock.now = 10.0
    assert limit.admit("a") == 1
    assert limit.suppressed == 1


def test_usual_events_are_debug_lines(lines: Lines) -> None:
    """A task's start and end, and coverage, are there for those who want them."""
    log = EventLog()
    log.hear(TaskStarted("topics", "prod/topics", 1))
    log.hear(TaskCompleted("topics", "prod/topics", 1, 0.5))
    log.hear(Coverage("prod", 1_000, 10, 9, 1))
    log.hear(SamplesWritten("parquet", {"collected": 1}, {}))
    assert [(line["level"], line["event"]) for line in lines()] == [
        ("debug", "task started"),
        ("debug", "task completed"),
        ("debug", "coverage"),
    ]


def test_usual_events_are_not_even_made_above_debug(
    configured: Callable[[str], LogHandler],
) -> None:
    """At the default level a pool is asked for failures only."""
    configured("INFO")
    assert TaskStarted not in EventLog().observer.pool_events
    configured("DEBUG")
    assert TaskStarted in EventLog().observer.pool_events


def test_what_sinks_cannot_deliver_is_a_warning(lines: Lines) -> None:
    """Retries and dead letters say the reason; the same reason again is suppressed."""
    log = EventLog(Clock())
    for attempt in (1, 2):
        log.hear(DeliveryRetried("newrelic", "events", "429 Too Many Requests", attempt, 2.0))
        log.hear(SamplesDead("newrelic", "events", {"collected": 3}, "too old", 400))
    log.hear(BreakerOpened("topics", "prod/topics", 60.0))
    assert [line["event"] for line in lines()] == [
        "delivery retried",
        "samples went to dead letters",
        "breaker opened",
    ]


def test_the_end_of_a_run_says_what_came_of_it(lines: Lines) -> None:
    """Samples by sink and origin, what waits, what is dead, and ticks."""
    log = EventLog()
    sinks = (
        p.sink("parquet", spooled=False),
        p.sink("newrelic", spooled=True, unsent=5000, dead=3),
    )
    log.ended(p.picture(sinks=sinks), failed=False)
    log.ended(p.picture(), failed=True)
    ended, broken = lines()
    assert ended["event"] == "run ended"
    assert ended["samples"] == {
        "parquet": {"collected": 1200, "filled": 30},
        "newrelic": {"collected": 1200, "filled": 30},
    }
    assert (ended["delivered"], ended["unsent_bytes"], ended["dead"]) == (
        {"newrelic": 1210}, 5000, 3,
    )  # fmt: skip
    assert (ended["ticks_completed"], ended["ticks_failed"], ended["seconds"]) == (13, 3, 600.0)
    assert (broken["event"], broken["level"]) == ("run failed", "error")


def test_what_a_run_did_not_get_done_is_said_at_its_end(lines: Lines) -> None:
    """As a warning, with where it waits; a run that did all has no problems."""
    log = EventLog()
    waits = p.sink("newrelic", spooled=True, unsent=5000, dead=3)
    log.ended(
        p.picture(targets=(p.bad("prod/topics")._replace(completed=0),), sinks=(waits,)),
        failed=False,
    )
    log.ended(p.picture(targets=(p.good("prod/topics"),)), failed=False)
    short, well = lines()
    assert (short["level"], well["level"], well["problems"]) == ("warning", "info", [])
    reported = short["problems"]
    assert isinstance(reported, list)
    assert "each tick failed, 3 ticks of 1 target; prod/topics: timeout: no answer" in reported[0]
    assert [problem.split(":")[0] for problem in reported] == [
        "nothing was collected",
        "newrelic",
        "newrelic",
    ]


def test_ticks_are_those_of_targets_and_of_simulated_clusters(lines: Lines) -> None:
    """Of a simulation, of what is collected, and of both together."""
    log = EventLog()
    simulated = replace(p.picture(targets=()), simulated_ticks=40)
    hybrid = replace(p.picture(targets=(p.good("prod/topics"),)), simulated_ticks=40)
    for picture in (simulated, hybrid):
        log.ended(picture, failed=False)
    assert [line["ticks_completed"] for line in lines()] == [40, 52]


def test_what_an_earlier_run_left_waiting_is_told_apart(lines: Lines) -> None:
    """Its samples are in files now, and were not taken over by this one."""
    mine = p.sink("parquet", spooled=False)
    resumed = replace(mine, published=Counter({"collected": 1500, "filled": 30}))
    for sink in (mine, resumed):
        EventLog().ended(p.picture(sinks=(sink,)), failed=False)
    reported = [(line["in_files"], line["in_files_of_earlier_runs"]) for line in lines()]
    assert reported == [({"parquet": 615}, {}), ({"parquet": 1530}, {"parquet": 300})]


def test_a_cluster_that_cannot_be_reached_is_one_message(lines: Lines) -> None:
    """Whatever each of its targets met; what is a target's own is reported of each."""
    log = EventLog(Clock())
    for kind in ("brokers", "topics", "groups"):
        log.hear(failed(key=f"prod/{kind}", error_class="refused", error=f"broker {kind}: refused"))
        log.hear(failed(key=f"prod/{kind}", error_class="timeout", error="read the metadata"))
        log.hear(failed(key=f"prod/{kind}", error_class="authorization", error=f"grant {kind}"))
        log.hear(BreakerOpened(kind, f"prod/{kind}", 60.0))
    log.hear(failed(key="other/topics", error_class="refused"))
    reported = [(line["event"], line.get("error_class"), line["target"]) for line in lines()]
    assert reported == [
        ("task failed", "refused", "prod/brokers"),
        ("task failed", "timeout", "prod/brokers"),
        ("task failed", "authorization", "prod/brokers"),
        ("breaker opened", None, "prod/brokers"),
        ("task failed", "authorization", "prod/topics"),
        ("task failed", "authorization", "prod/groups"),
        ("task failed", "refused", "other/topics"),
    ]


def test_deliveries_by_several_routes_are_reported_by_route(lines: Lines) -> None:
    """Not every route takes each sample, so no single number says what arrived."""
    both = replace(
        p.sink("newrelic", spooled=True),
        delivered=Counter({("events", "collected"): 30, ("metrics", "collected"): 12}),
    )
    EventLog().ended(p.picture(sinks=(both,)), failed=False)
    assert lines()[0]["delivered"] == {"newrelic": {"events": 30, "metrics": 12}}


NO_SINK = "no sink: samples go nowhere; name one under `sinks`"

NATIVE = """
import os, subprocess, sys
from flows.observe.observation import observe
from flows.observe.picture import Job
from flows.observe.settings import MetricsSettings
from operators.drain import Drain
from operators.schema.logs import Log

with observe(Job("run", 1.0), Drain(), MetricsSettings(listen=None), live=True):
    os.write(2, b"%4|librdkafka| broker down\\n")
    print("a Python print", file=sys.stderr)
    Log("mine").info("an event")
    subprocess.run(["sh", "-c", "echo from a child >&2"], check=True)
print("after", file=sys.stderr)
"""


def test_native_code_and_prints_come_through_the_log() -> None:
    """Every line on standard error is JSON while a job runs, and standard output stays clean."""
    ran = subprocess.run(
        [sys.executable, "-c", NATIVE],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[4],
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    *during, after = ran.stderr.splitlines()
    events = [json.loads(line) for line in during]
    by_logger: dict[str, list[str]] = {}
    for event in events:
        by_logger.setdefault(event["logger"], []).extend(event["event"].splitlines())
    assert by_logger == {
        "mqpipe.events": ["run started", NO_SINK, "run ended"],
        "mine": ["an event"],
        "stderr": ["%4|librdkafka| broker down", "a Python print", "from a child"],
    }
    assert (after, ran.stdout) == ("after", "")


def test_on_a_terminal_the_same_lines_stand_above_a_live_table() -> None:
    """Native code, prints and events are plain lines, each once, and the table ends below them."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        ran = subprocess.Popen(
            [sys.executable, "-c", NATIVE],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            cwd=Path(__file__).parents[4],
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )
        os.close(theirs)
        text = ""
        with contextlib.suppress(OSError):  # Linux's answer when the other side is closed
            while part := terminal.read(65_536):
                text += part.decode()
    assert ran.wait(timeout=60) == 0
    for line in ("broker down", "a Python print", "an event", "from a child", "run ended"):
        assert text.count(line) == 1
        assert text.index(line) < text.rindex("mqpipe run") < text.index("after")
    assert "{" not in text


def test_a_job_is_observed_from_its_parts_to_its_end(
    capfd: pytest.CaptureFixture[str], configured: Callable[[str], LogHandler]
) -> None:
    """Pools, sinks and merge report to one place; the end says what they did."""
    job = Job("run", 30.0, "hybrid", targets=("prod/topics",), sinks=("parquet",))

    async def work(_left: float) -> None:
        raise OSError("nobody answers")

    with observe(job, Drain(), MetricsSettings(listen="127.0.0.1:0"), live=False) as observation:

        async def collect() -> None:
            settings = PoolSettings(size=1, attempts=1)
            async with Pool("topics", settings, observer=observation.observer) as pool:
                observation.watch(pool)
                await pool.submit(work, key="prod/topics")

        asyncio.run(collect())
        observation.observer.hear(SamplesWritten("parquet", {"filled": 4}, {}))
        observation.observer.hear(Coverage("prod", 1_000, 4, 0, 4))
    logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["event"] for line in logged] == ["run started", "task failed", "run ended"]
    assert str(logged[0]["metrics"]).startswith("http://127.0.0.1:")
    assert logged[1]["error"] == "nobody answers"
    assert (logged[2]["samples"], logged[2]["ticks_failed"]) == ({"parquet": {"filled": 4}}, 1)


def test_a_job_without_a_sink_says_so(
    capfd: pytest.CaptureFixture[str], configured: Callable[[str], LogHandler]
) -> None:
    """It may be a dry run, or a section that was forgotten."""
    with observe(Job("run", 30.0), Drain(), MetricsSettings(listen=None), live=False):
        pass
    logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["level"], line["event"]) for line in logged] == [
        ("info", "run started"),
        ("warning", NO_SINK),
        ("info", "run ended"),
    ]


def test_a_job_that_fails_says_so(
    capfd: pytest.CaptureFixture[str], configured: Callable[[str], LogHandler]
) -> None:
    """The error goes on to the caller, and standard error is the process's own again."""
    with (
        pytest.raises(RuntimeError, match="broken"),
        observe(Job("run", 30.0), Drain(), MetricsSettings(listen=None), live=False),
    ):
        raise RuntimeError("broken")
    os.write(2, b"own again\n")
    *_, failed_line, own = capfd.readouterr().err.splitlines()
    assert (json.loads(failed_line)["event"], own) == ("run failed", "own again")
