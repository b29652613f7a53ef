"""What a command loads before it begins: no more than it uses."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "docs" / "examples" / "simulation.yaml"
MINUTE = ["--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:01:00Z", "--out", "minute"]

LOADED = """
import sys
from flows.__main__ import main
sys.argv = ["mqpipe", *sys.argv[1:]]
try:
    main()
finally:
    sys.__stdout__.write("loaded " + " ".join(sorted(sys.modules)))
"""

TYPER = {"annotated_doc", "shellingham", "typer"}
SETTINGS = {
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}
ARROW = {"_cython", "cloudpickle", "cython_runtime", "dateutil", "numpy", "pyarrow", "six"}


def below(package: str, modules: str) -> set[str]:
    """The package and its modules of these names."""
    return {package, *(f"{package}.{module}" for module in modules.split())}


COMMAND_LINE = below(
    "flows", "__main__ addresses again cli errors options standard_streams times visible"
) | below("operators.schema", "clock secrets units")
COMMAND_LINE.add("operators")

CONFIGURATION = (
    below("flows", "addresses config times")
    | below("flows.observe", "settings")
    | below("operators.collect", "clusters settings")
    | below("operators.collect.pages", "settings")
    | below("operators.merge", "settings")
    | below("operators.nats", "settings")
    | below("operators.pool", "settings")
    | below("operators.rabbitmq", "settings")
    | below(
        "operators.schema",
        "extras fields guid kafka lazy librdkafka msk_iam names nats nearest rabbitmq secrets "
        "settings units urls",
    )
    | below("operators.simulate", "patterns presets settings")
    | below("sinks", "settings")
    | below("sinks.deltalake", "settings")
    | below("sinks.kafka", "settings")
    | below("sinks.newrelic", "settings")
    | below("sinks.otlp", "settings")
    | below("sinks.parquet", "settings")
    | below("sinks.rolled", "settings")
    | below("sinks.spool", "settings")
)
CONFIGURATION.add("operators")
"""Settings and the schema: patterns are settings too, and presets their defaults."""

PLAN = (
    CONFIGURATION
    | below("flows", "loading sinks units")
    | below("flows.observe", "logs")
    | below("operators", "epochs health outlook plugins schedule ticks")
    | below("operators.schema", "arrays arrow clock dictionaries logs metrics")
    | below(
        "operators.simulate",
        "age block churn columns consumption curves fleets gaps generators grouped_sums left_out "
        "local_time noise processing queues recording shard spec topology traffic",
    )
    | below(
        "operators.simulate.anomalies",
        "aftermath kinds labels levers occurrences relations",
    )
    | below(
        "operators.simulate.kafka",
        "broker_topics brokers cluster group_clients group_topics groups layout partition_lag "
        "placement prospects shaping topics",
    )
    | below("sinks", "disk sink")
    | below("sinks.parquet", "files sink store")
)
"""What is simulated, and the one sink that the configuration names."""

CHECK = below("flows", "check cost")
EXPORT = (
    below("flows", "export peers runtime state state_disk")
    | below("flows.observe", "progress")
    | below("operators", "drain events fleets retired served")
    | below("operators.schema", "events ipc unreadable")
    | {"operators.simulate.anomalies.table"}
    | below("operators.simulate.rabbitmq", "cluster layout nodes queues")
    | below("sinks", "dead_letters delivery events job partitioned patience")
    | below("sinks.parquet", "direct partitions")
    | {"sinks.spool.errors"}
)


def loaded(folder: Path, *arguments: str) -> tuple[set[str], set[str]]:
    """The packages of others, and our modules, that a command loads."""
    command = [sys.executable, "-c", LOADED, *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return reported(ended.stdout)


def reported(output: str) -> tuple[set[str], set[str]]:
    """What `LOADED` reported of what was loaded: see `loaded`."""
    modules = output.rpartition("loaded ")[2].split()
    ours = {module for module in modules if module.split(".")[0] in ("flows", "operators", "sinks")}
    others = {module.split(".")[0] for module in modules} - sys.stdlib_module_names
    return (
        {name if not name.startswith("_cython") else "_cython" for name in others}
        - {"__main__", "_distutils_hack", "flows", "operators", "sinks"}
        - {name for name in others if name.startswith("_sysconfigdata")},
        ours,
    )


def require_listed(ours: set[str], listed: set[str]) -> None:
    """Just the modules that are listed above were loaded."""
    more, gone = sorted(ours - listed), sorted(listed - ours)
    assert not more, (
        f"it loads {more} too: import them where they are used, inside a function; if this command "
        "always uses them, list them in this file"
    )
    assert not gone, f"it loads {gone} no more: take them off the list in this file"


def test_help_loads_the_command_line_only(tmp_path: Path) -> None:
    """Not the configuration, and of other packages only what draws the help."""
    others, ours = loaded(tmp_path, "--help")
    assert others - TYPER == set()
    require_listed(ours, COMMAND_LINE)


def test_a_plan_loads_what_it_measures(tmp_path: Path) -> None:
    """Neither the engine, nor clients, nor sinks that the configuration does not name."""
    others, ours = loaded(tmp_path, "check", str(CONFIG))
    assert others - {*TYPER, *SETTINGS, *ARROW, "yaml"} == set()
    require_listed(ours, COMMAND_LINE | PLAN | CHECK)


def test_an_export_loads_the_engine_and_one_sink(tmp_path: Path) -> None:
    """No client of the network, nothing that draws, nothing of collection but its settings."""
    others, ours = loaded(tmp_path, "export", str(CONFIG), *MINUTE)
    assert others - {*TYPER, *SETTINGS, *ARROW, "yaml", "bytewax"} == set()
    require_listed(ours, COMMAND_LINE | PLAN | EXPORT)


def test_settings_load_pydantic_and_the_schema_and_prepare_nothing() -> None:
    """Pydantic prepares a model that is asked for; all of them at the start would double it."""
    code = """
import sys, flows.config
from operators.schema.settings import Settings
def below(kind):
    return [kind, *(k for sub in kind.__subclasses__() for k in below(sub))]
prepared = sorted(k.__name__ for k in below(Settings)[1:] if k.__pydantic_complete__)
print(*prepared, "loaded", *sys.modules)
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    others, ours = reported(ended.stdout)
    assert others - SETTINGS == set()
    require_listed(ours, CONFIGURATION)
    assert ended.stdout.split()[:3] == ["AnomalySettings", "FleetSettings", "loaded"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--for", "soon"],
        ["run", "--addresses", "nowhere"],
        ["export", "--start", "tomorrow"],
        ["export", "--interval", "fast"],
        ["replay", str(CONFIG), "--from", "tomorrow"],
        ["export", "--start", "2026-01-02", "--end", "2026-01-01"],
        ["export", "--format", "nab", "--resume"],
        ["replay", str(CONFIG), "--from", "now", "--to", "-1h"],
        ["score", "alerts.csv", "--against", "day", "--grace", "long"],
        ["score", "alerts.csv", "--against", "day", "--column", "host=entity"],
        ["tail", "day", "--type", "brokers"],
        ["dashboard", "--alerts", "--grafana"],
        ["init", "--from-cluster", "eu"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_answered_before_anything_is_loaded(
    arguments: list[str], tmp_path: Path
) -> None:
    """Options are read first, with the nearest name of what is there; typer may load pydantic."""
    command = [sys.executable, "-c", LOADED, *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2, ended.stderr
    others, ours = reported(ended.stdout)
    assert others - TYPER - SETTINGS == set()
    assert ours - COMMAND_LINE - {"operators.schema.nearest"} == set()
