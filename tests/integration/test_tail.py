"""`mqpipe tail`: samples as they pass, from Parquet, a running job, or a topic."""

import json
import os
import pty
import re
import subprocess
import termios
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests.forked import SCRIPT
from tests.kafka.cluster import Kafka
from tests.mqpipe import mqpipe, start, stop, wait_for_log

pytestmark = pytest.mark.timeout(120)

CONFIG = """
interval: 200ms
simulation: {{seed: 1, fleets: [{{name: a}}]}}
sinks: {sinks}
recovery: {{path: state, epoch: 500ms}}
metrics: {{listen: null}}
"""
MINUTE = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:01:00Z", "--out", "day")


def config(folder: Path, sinks: str) -> None:
    (folder / "c.yaml").write_text(CONFIG.format(sinks=sinks))


def read_lines(process: subprocess.Popen[str], number: int) -> list[dict[str, object]]:
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(number)]


def on_a_terminal(folder: Path, columns: int, *arguments: str) -> list[str]:
    """What a command writes on a terminal of so many columns, line by line."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    size = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [SCRIPT, *arguments], cwd=folder, stdout=theirs, stderr=subprocess.DEVNULL, env=size
    ) as command:
        os.close(theirs)
        written = b""
        with suppress(OSError):  # as the other side of a terminal is closed
            while part := os.read(ours, 65_536):
                written += part
        os.close(ours)
        assert command.wait(60) == 0
    return written.decode().splitlines()


def test_the_last_samples_of_a_folder_are_a_table_or_json(tmp_path: Path) -> None:
    """The latest ticks', in order; only what is asked for."""
    assert mqpipe(tmp_path, "export", *MINUTE).code == 0
    only = ("--no-follow", "--type", "broker", "--entity", "demo-1/broker-2", "-n", "2")
    table = mqpipe(tmp_path, "tail", "day", *only)
    head, first, second = table.out.splitlines()
    assert head.split() == ["TIME", "(UTC)", "TYPE", "ENTITY", "ORIGIN", "METRICS"]
    assert first.split()[:4] == ["2026-01-01T00:00:50Z", "broker", "demo-1/broker-2", "simulated"]
    assert second.startswith("2026-01-01T00:00:55Z")
    reported = mqpipe(tmp_path, "tail", "day", *only, "--json")
    rows = [json.loads(line) for line in reported.out.splitlines()]
    assert [row["timestamp"] for row in rows] == ["2026-01-01T00:00:50Z", "2026-01-01T00:00:55Z"]
    assert rows[0]["broker.messagesInPerSecond"] > 0


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_on_a_terminal_lines_fit_and_what_matters_stands_in_them(
    tmp_path: Path, columns: int
) -> None:
    """In whole words: when, who and the first figures at 60 columns, and more where there is room."""
    assert mqpipe(tmp_path, "export", *MINUTE).code == 0
    lines = on_a_terminal(tmp_path, columns, "tail", "day", "--no-follow", "-n", "58")
    assert max(map(len, lines)) <= columns
    group = next(line for line in lines if "demo-1/warehouse" in line and "behind" in line)
    assert re.search(r"00:00:5\d", group)
    assert re.search(r"  lag [\d,]+  behind \d[\d.]* m?s", group), group
    cluster = next(line for line in lines if re.search(r"demo-1 .*health 100", line))
    assert ("offline 0" in cluster) == (columns >= 80), cluster
    assert ("simulated" in cluster) == (columns >= 140)


def test_an_entity_that_is_not_there_is_reported_with_the_nearest(tmp_path: Path) -> None:
    """Whether or not more is waited for; of the type that is asked for."""
    assert mqpipe(tmp_path, "export", *MINUTE).code == 0
    wrong = mqpipe(tmp_path, "tail", "day", "--no-follow", "--entity", "demo-1/warehuose")
    assert "no samples of demo-1/warehuose there; did you mean `demo-1/warehouse`?" in wrong.err
    wrong = mqpipe(
        tmp_path, "tail", "day", "--no-follow", "--entity", "demo-1/broker2", "--type", "broker"
    )
    assert "of type broker of demo-1/broker2 there; did you mean `demo-1/broker-2`?" in wrong.err


def test_a_type_without_samples_is_reported_and_no_lines_are_no_fault(tmp_path: Path) -> None:
    """Other types are there; with `-n 0` nothing was asked for."""
    assert mqpipe(tmp_path, "export", *MINUTE).code == 0
    none = mqpipe(tmp_path, "tail", "day", "--no-follow", "--type", "queue")
    assert "no samples of type queue there" in none.err
    assert "no samples" not in mqpipe(tmp_path, "tail", "day", "--no-follow", "-n", "0").err


@pytest.mark.parametrize(
    "sinks", ["{parquet: {path: samples}}", '{otlp: {endpoint: "http://127.0.0.1:1"}}']
)
def test_a_running_job_is_followed_whatever_its_sink(tmp_path: Path, sinks: str) -> None:
    """What waits for its file or its delivery passes by as it comes; Ctrl-C or a stop ends it."""
    config(tmp_path, sinks)
    job = start(tmp_path, "run", "c.yaml", "--no-live")
    wait_for_log(job, "run started")
    watcher = start(tmp_path, "tail", "c.yaml", "--type", "cluster", "--json", "-n", "0")
    times = [datetime.fromisoformat(str(row["timestamp"])) for row in read_lines(watcher, 10)]
    assert times == sorted(set(times)), "each tick once, in its order"
    ended = stop(watcher)
    assert (ended.code, "the job that runs on state/run" in ended.err) == (0, True)
    assert stop(job, timeout=90).code == 0


def test_files_that_appear_are_shown(tmp_path: Path) -> None:
    """A folder without samples is waited at."""
    (tmp_path / "day").mkdir()
    watcher = start(tmp_path, "tail", "day", "--json", "--type", "cluster")
    wait_for_log(watcher, "no samples there yet")
    assert mqpipe(tmp_path, "export", *MINUTE).code == 0
    assert {row["entity_type"] for row in read_lines(watcher, 24)} == {"MESSAGE_QUEUE_CLUSTER"}
    assert stop(watcher).code == 0


@pytest.mark.parametrize(
    ("place", "code", "says"),
    [
        ("nowhere", 1, "nowhere: no samples there"),
        ("no.yaml", 2, "no.yaml: cannot be read: No such file"),
        ("alerts.csv", 2, "alerts.csv: is no configuration and no folder of samples"),
        ("kafka://host:9092", 2, "write kafka://host:9092/topic"),
        ("c.yaml", 1, "no job runs on state/run, and none of its sinks can be read"),
    ],
)
def test_a_place_that_is_none_is_named(tmp_path: Path, place: str, code: int, says: str) -> None:
    """With what to do, and no traceback."""
    config(tmp_path, '{otlp: {endpoint: "http://127.0.0.1:1"}}')
    (tmp_path / "alerts.csv").write_text("entity,time\na/b,2026-01-01\n")
    ended = mqpipe(tmp_path, "tail", place, "--no-follow")
    assert (ended.code, says in ended.err, "Traceback" in ended.err) == (code, True, False)


@pytest.mark.kafka
def test_a_recorded_topic_is_followed(kafka: Kafka, tmp_path: Path) -> None:
    """By the config of the job that recorded it, and by its address; what is there first."""
    topic = f"tail-{tmp_path.name}"
    servers = kafka.bootstrap_servers
    config(tmp_path, f'{{kafka: {{bootstrap_servers: "{servers}", topic: {topic}}}}}')
    assert mqpipe(tmp_path, "run", "c.yaml", "--no-live", "--for", "1s").code == 0
    first = servers.split(",")[0]
    for place in ("c.yaml", f"kafka://{first}/{topic}"):
        ended = mqpipe(tmp_path, "tail", place, "--no-follow", "-n", "3", "--json")
        assert ended.code == 0, ended.err
        assert len(ended.out.splitlines()) == 3
