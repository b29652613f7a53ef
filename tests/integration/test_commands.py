"""The commands as a new user meets them: init, check, run, and wrong configurations."""

import time
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.mqpipe import mqpipe, samples, start, stop, wait_for_log


def test_init_writes_a_config_that_check_and_export_take(tmp_path: Path) -> None:
    """What init writes is valid as it is."""
    assert mqpipe(tmp_path, "init").code == 0
    checked = mqpipe(tmp_path, "check", "mqpipe.yaml")
    assert checked.code == 0, checked.err
    assert "samples" in checked.out
    short = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:10:00Z", "--out", "x")
    assert mqpipe(tmp_path, "export", "mqpipe.yaml", *short).code == 0


def test_a_files_name_cannot_make_a_terminal_do_anything(tmp_path: Path) -> None:
    """It is shown, and quoted where it is part of a command."""
    made = mqpipe(tmp_path, "init", "a \x1b[2J.yaml")
    assert made.code == 0, made.err
    assert (
        made.out == "wrote a \\x1b[2J.yaml; next: mqpipe check 'a \\x1b[2J.yaml', "
        "then mqpipe run 'a \\x1b[2J.yaml'\n"
    )


def test_init_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    """A config is never overwritten."""
    (tmp_path / "mqpipe.yaml").write_text("mine")
    ended = mqpipe(tmp_path, "init")
    assert (ended.code, (tmp_path / "mqpipe.yaml").read_text()) == (1, "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mod: simulation\n", "c.yaml:1: mod: unknown key; did you mean `mode`?"),
        ("interval: soon\n", "c.yaml:1: interval: "),
        ("account_id: ${MQPIPE_NOT_SET}\n", "environment variable `MQPIPE_NOT_SET` is not set"),
        ("mode: infrastructure\n", "`clusters` and `collectors` name none"),
        ("simulation: {fleets: [{name: a, bokers: 3}]}\n", "did you mean `brokers`?"),
        ("simulation: {fleets: [{name: 'a:b'}]}\n", "simulation.fleets[0].name"),
    ],
)
def test_wrong_config_is_one_clear_message(tmp_path: Path, text: str, message: str) -> None:
    """A wrong configuration is refused with file, line and path, without a traceback."""
    (tmp_path / "c.yaml").write_text(text)
    ended = mqpipe(tmp_path, "check", "c.yaml")
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("command", ["run", "check", "export", "replay", "redeliver", "dashboard"])
def test_every_command_refuses_a_wrong_config_with_code_2(tmp_path: Path, command: str) -> None:
    """Whichever command reads a wrong configuration says so, and does nothing."""
    (tmp_path / "c.yaml").write_text("mod: simulation\n")
    ended = mqpipe(tmp_path, command, "c.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "c.yaml:1: mod: unknown key; did you mean `mode`?\n"
    assert [file.name for file in tmp_path.iterdir()] == ["c.yaml"]


def test_run_without_config_drains_at_sigterm_into_whole_files(tmp_path: Path) -> None:
    """The built-in fleet is streamed; a SIGTERM leaves complete files and ends with 0."""
    process = start(tmp_path, "run", "--for", "11s")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    frame = samples(tmp_path / "samples", "broker")
    assert frame.group_by("entity_guid").len()["len"].to_list() == [3] * 6
    assert out == ""


def test_second_run_on_the_same_state_is_refused(tmp_path: Path) -> None:
    """Two jobs never share a state; the second says so and touches nothing."""
    (tmp_path / "c.yaml").write_text(
        "interval: 1s\nsimulation: {fleets: [{name: a}]}\nsinks: {parquet: {path: samples}}\n"
        "metrics: {listen: null}\n"
    )
    first = start(tmp_path, "run", "c.yaml", "--no-live")
    wait_for_log(first, "run started")
    second = mqpipe(tmp_path, "run", "c.yaml", "--no-live")
    assert second.code == 1
    assert "another mqpipe uses this state" in second.err
    assert stop(first).code == 0


def test_the_version_is_shown(tmp_path: Path) -> None:
    """As who reports a fault is asked for it."""
    for asked in ("--version", "version"):
        ended = mqpipe(tmp_path, asked)
        assert (ended.code, ended.out) == (0, f"mqpipe {version('mqpipe')}\n")


def test_check_says_that_samples_go_nowhere(tmp_path: Path) -> None:
    """A config without a sink is for a dry run."""
    (tmp_path / "c.yaml").write_text("simulation: {fleets: [{name: a}]}\n")
    ended = mqpipe(tmp_path, "check", "c.yaml")
    assert (ended.code, "no sink: samples go nowhere" in ended.out) == (0, True)


def test_check_names_all_that_it_collects_and_where_it_goes(tmp_path: Path) -> None:
    """Custom targets, and sinks whose bytes are not known, among them."""
    (tmp_path / "c.yaml").write_text(
        "mode: hybrid\ncollectors: [{name: jobs, use: 'json:loads'}]\n"
        "simulation: {fleets: [{name: a}]}\n"
        "sinks: {kafka: {bootstrap_servers: 'b:1', topic: recorded}}\n"
    )
    ended = mqpipe(tmp_path, "check", "c.yaml")
    assert ended.code == 0, ended.err
    assert "collects: jobs (by json:loads)\n" in ended.out
    assert "sink kafka: recorded\n" in ended.out
    assert ended.out.splitlines()[-1].startswith("ok: the configuration is right")


def test_check_says_where_what_is_only_collected_goes_and_how_it_ended(tmp_path: Path) -> None:
    """Also where it is not known what it costs; its last line is the verdict."""
    (tmp_path / "c.yaml").write_text(
        'mode: infrastructure\nclusters: [{name: down, bootstrap_servers: "127.0.0.1:1"}]\n'
        "sinks: {parquet: {path: samples}}\n"
    )
    plain, reached = (mqpipe(tmp_path, "check", "c.yaml", *more) for more in ((), ("--connect",)))
    assert plain.out.splitlines()[-2:] == [
        "sink parquet: samples",
        "ok: the configuration is right; --connect tries what it names too",
    ]
    assert reached.out.splitlines()[-1] == "failed: cluster down; the configuration itself is right"
    assert (plain.code, reached.code) == (0, 1)


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "export",
        "replay",
        "check",
        "redeliver",
        "init",
        "report",
        "dashboard",
        "score",
        "tail",
    ],
)
def test_help_has_an_example(tmp_path: Path, command: str) -> None:
    """Each command says what it does, with an example; on 80 columns, and nothing is cut."""
    ended = mqpipe(tmp_path, command, "--help", env={"COLUMNS": "80"})
    assert ended.code == 0
    assert all(len(line) <= 80 and not line.endswith("...") for line in ended.out.split("\n"))
    assert f"Example: mqpipe {command}" in ended.out


@pytest.mark.parametrize("more", ["", ", pool_events: all"])
@pytest.mark.parametrize(
    ("key", "message"), [(None, "key cannot be read: No such file"), ("\n", "key is empty")]
)
def test_licence_key_that_cannot_be_read_is_named_with_code_2(
    tmp_path: Path, key: str | None, message: str, more: str
) -> None:
    """A file that the config names and that holds no key is a fault of the config."""
    (tmp_path / "c.yaml").write_text(
        "account_id: 1\nsimulation: {fleets: [{name: a}]}\nmetrics: {listen: null}\n"
        f"sinks: {{newrelic: {{license_key_file: key{more}}}}}\n"
    )
    if key is not None:
        (tmp_path / "key").write_text(key)
    ended = mqpipe(tmp_path, "run", "c.yaml")
    assert ended.code == 2
    assert f"mqpipe: sinks.newrelic.license_key_file: {message}" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("export", "--out", "file/x"), 1, "file/x: samples cannot be written there: Not a dir"),
        (("run", "c.yaml"), 1, "file/x: samples cannot be written there: Not a directory; name"),
        (("export", "--out", "bogus://x"), 2, "--out bogus://x: no storage `bogus://`; write a"),
        (("check", "."), 2, ".: cannot be read: Is a directory\n"),
        (("run", "--for", "soon"), 2, "Invalid value for '--for': not a duration: 'soon'; write"),
        (("run", "--addresses", "a:1,b"), 2, "not an address: 'b'; write it like 127.0.0.1:9464"),
        (("run", "--addresses", "a:1,a:1"), 2, "`a:1` is there twice: each process has its own"),
        (("run", "--process-id", "1"), 2, "--process-id 1, but 0 addresses"),
        (("check", "no.yaml"), 2, "no.yaml: cannot be read: No such file or directory; `mqpipe i"),
    ],
)
def test_what_cannot_be_used_is_named_with_why(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """What, where, why and what to do, before anything is begun."""
    (tmp_path / "file").write_text("")
    (tmp_path / "c.yaml").write_text(
        "simulation: {fleets: [{name: a}]}\nsinks: {parquet: {path: file/x}}\n"
        "metrics: {listen: null}\n"
    )
    ended = mqpipe(tmp_path, *arguments)
    assert ended.code == code
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_the_first_files_do_not_wait_for_the_roll(tmp_path: Path) -> None:
    """They appear while the job runs, and the log says where and when."""
    (tmp_path / "c.yaml").write_text(
        "mode: simulation\ninterval: 1s\nsimulation: {fleets: [{name: sim}]}\n"
        "sinks: {parquet: {path: samples, roll: {every: 1h}}}\nrecovery: {epoch: 1s}\n"
    )
    job = start(tmp_path, "run", "c.yaml", "--no-live")
    wait_for_log(job, "samples appear in samples: the first by about")
    until = time.monotonic() + 60
    while not samples(tmp_path / "samples", "broker").height and time.monotonic() < until:
        time.sleep(0.1)
    assert samples(tmp_path / "samples", "broker").height
    assert stop(job).code == 0
