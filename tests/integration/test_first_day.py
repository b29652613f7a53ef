"""What people look for on their first day: one tick, a start without a file, the plan as JSON."""

import json
from pathlib import Path

import pytest
import yaml

from tests.kafka.cluster import Kafka
from tests.mqpipe import mqpipe, samples

pytestmark = pytest.mark.timeout(120)

SIMULATED = """
interval: 500ms
account_id: 7
simulation: {fleets: [{name: a}]}
sinks: {parquet: {path: samples}, newrelic: {license_key: "secret-licence-key"}}
metrics: {listen: null}
"""


def test_once_is_one_tick(tmp_path: Path) -> None:
    """Of each entity one sample, and the end."""
    (tmp_path / "c.yaml").write_text(
        SIMULATED.partition(", newrelic")[0] + "}\nmetrics: {listen: null}\n"
    )
    ended = mqpipe(tmp_path, "run", "c.yaml", "--once", "--no-live")
    assert ended.code == 0, ended.err
    assert "samples appear in samples: all at the end, after the one tick at" in ended.err
    assert "then every" not in ended.err
    assert json.loads(ended.err.splitlines()[-1])["ticks_completed"] == 1
    assert samples(tmp_path / "samples", "broker")["timestamp"].n_unique() == 1
    refused = mqpipe(tmp_path, "run", "--once", "--for", "1s")
    assert (refused.code, "give one of them" in refused.err) == (2, True)


def test_a_failure_is_one_where_it_is_asked_to_be(tmp_path: Path) -> None:
    """Ticks that all failed are said, and fail a job only with --fail-on-error."""
    (tmp_path / "c.yaml").write_text(
        "mode: infrastructure\ninterval: 1s\nmetrics: {listen: null}\n"
        'clusters: [{name: down, bootstrap_servers: "127.0.0.1:1"}]\n'
        "sinks: {parquet: {path: samples}}\n"
    )
    for more, code in (((), 0), (("--fail-on-error",), 1)):
        ended = mqpipe(tmp_path, "run", "c.yaml", "--once", "--no-live", *more)
        last = json.loads(ended.err.splitlines()[-1])
        assert (ended.code, last["event"], last["level"]) == (code, "run ended", "warning")
        assert last["problems"][0].startswith(
            "nothing was collected: each tick failed, 3 ticks of 3 targets; down/"
        )
        assert set(last["samples"]["parquet"]) == {"collection"}


def test_logs_are_as_is_asked_for(tmp_path: Path) -> None:
    """Before a command's name or after it, or by the environment; what there is not is refused."""
    text = mqpipe(tmp_path, "--log-format", "text", "run", "--once")
    assert "info     run ended" in text.err
    quiet = mqpipe(tmp_path, "run", "--once", env={"MQPIPE_LOG_LEVEL": "error"})
    assert quiet.err == ""
    debug = mqpipe(tmp_path, "run", "--once", "--log-level", "debug")
    assert any(json.loads(line)["level"] == "debug" for line in debug.err.splitlines())
    wrong = mqpipe(tmp_path, "run", "--log-level", "loud")
    assert (wrong.code, "write debug, info, warning or error" in wrong.err) == (2, True)


def test_the_plan_as_json_has_the_whole_config_without_secrets(tmp_path: Path) -> None:
    """With every default, as `--effective` has it, which is a config that does the same."""
    (tmp_path / "c.yaml").write_text(SIMULATED)
    reported = mqpipe(tmp_path, "check", "c.yaml", "--json")
    plan = json.loads(reported.out)
    assert (plan["mode"], plan["entities"]["broker"], plan["findings"]) == ("simulation", 3, None)
    assert [sink["name"] for sink in plan["sinks"]] == ["parquet", "newrelic"]
    assert plan["sinks"][0]["bytes_per_hour"] > 0
    assert plan["config"]["recovery"] == {"path": "state", "epoch": 5.0}
    effective = mqpipe(tmp_path, "check", "c.yaml", "--effective")
    assert yaml.safe_load(effective.out) == plan["config"]
    assert "secret-licence-key" not in reported.out + effective.out
    (tmp_path / "again.yaml").write_text(effective.out)
    again = mqpipe(tmp_path, "check", "again.yaml", "--json")
    assert (again.code, json.loads(again.out)["samples_per_minute"]) == (
        0,
        plan["samples_per_minute"],
    )


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [(), ("run",), ("tail",), ("version",)])
def test_help_has_two_names(tmp_path: Path, command: tuple[str, ...], option: str) -> None:
    """As of most tools; nothing in the list of commands is cut."""
    ended = mqpipe(tmp_path, *command, option)
    assert (ended.code, "..." in ended.out.replace("COMMAND [ARGS]...", "")) == (0, False)


def test_completion_is_there(tmp_path: Path) -> None:
    """For the shell that asks, and of the commands' names."""
    words = {"_MQPIPE_COMPLETE": "complete_bash", "COMP_WORDS": "mqpipe re", "COMP_CWORD": "1"}
    ended = mqpipe(tmp_path, env=words)
    assert ended.out.split() == ["replay", "redeliver", "report"]


@pytest.mark.kafka
def test_a_cluster_is_collected_without_a_file(kafka: Kafka, tmp_path: Path) -> None:
    """By the address of a broker; `check` reaches it."""
    server = kafka.bootstrap_servers.split(",")[0]
    checked = mqpipe(tmp_path, "check", server)
    assert (checked.code, "ok: cluster localhost-port-" in checked.out) == (0, True), checked
    ran = mqpipe(tmp_path, "run", "--bootstrap-servers", server, "--once", "--no-live")
    assert ran.code == 0, ran.err
    assert samples(tmp_path / "samples", "broker").height == 1
    assert not (tmp_path / "state").exists()


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    """And so is a file beside it."""
    (tmp_path / "c.yaml").write_text(SIMULATED)
    wrong = mqpipe(tmp_path, "run", "--bootstrap-servers", "nowhere")
    assert (wrong.code, "not an address: 'nowhere'" in wrong.err) == (2, True)
    both = mqpipe(tmp_path, "run", "c.yaml", "--bootstrap-servers", "a:1")
    assert (both.code, "give one of them" in both.err) == (2, True)
