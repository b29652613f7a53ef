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

COMMAND_LINE = {
    "flows",
    "flows.__main__",
    "flows.addresses",
    "flows.again",
    "flows.cli",
    "flows.errors",
    "flows.options",
    "flows.standard_streams",
    "flows.times",
    "flows.visible",
    "operators",
    "operators.schema",
}
CONFIGURATION = {
    "flows.config",
    "flows.loading",
    "flows.observe",
    "flows.observe.logs",
    "flows.observe.settings",
    "operators.collect",
    "operators.collect.clusters",
    "operators.collect.expected",
    "operators.collect.pages",
    "operators.collect.pages.settings",
    "operators.collect.settings",
    "operators.merge",
    "operators.merge.settings",
    "operators.nats",
    "operators.nats.names",
    "operators.nats.settings",
    "operators.plugins",
    "operators.pool",
    "operators.pool.settings",
    "operators.rabbitmq",
    "operators.rabbitmq.settings",
    "operators.protocol",
    "operators.protocol.properties",
    "operators.simulate",
    "sinks",
    "sinks.deltalake",
    "sinks.deltalake.settings",
    "sinks.kafka",
    "sinks.kafka.settings",
    "sinks.newrelic",
    "sinks.newrelic.settings",
    "sinks.otlp",
    "sinks.otlp.settings",
    "sinks.parquet",
    "sinks.parquet.settings",
    "sinks.rolled",
    "sinks.rolled.settings",
    "sinks.settings",
    "sinks.spool",
    "sinks.spool.settings",
}
PARQUET = {
    "flows.sinks",
    "operators.epochs",
    "operators.schedule",
    "operators.ticks",
    "sinks.disk",
    "sinks.parquet.files",
    "sinks.parquet.sink",
    "sinks.parquet.store",
    "sinks.sink",
    "sinks.spool.errors",
}
CHECK = {"operators.health", "operators.outlook", "flows.check", "flows.cost", "flows.units"}
EXPORT = {
    "sinks.events",
    "sinks.job",
    "sinks.patience",
    "operators.events",
    "operators.retired",
    "operators.health",
    "operators.outlook",
    "flows.export",
    "flows.observe.progress",
    "flows.units",
    "flows.peers",
    "flows.state_disk",
    "flows.runtime",
    "flows.state",
    "flows.templates",
    "operators.drain",
    "operators.fleets",
    "operators.served",
    "sinks.dead_letters",
    "sinks.delivery",
    "sinks.parquet.partitions",
    "sinks.parquet.direct",
    "sinks.partitioned",
}


def loaded(folder: Path, *arguments: str) -> tuple[set[str], set[str]]:
    """The packages of others, and our modules, that a command loads.

    Of `operators.schema` and `operators.simulate`, which say all there is of samples and make
    them, one stands for all.
    """
    command = [sys.executable, "-c", LOADED, *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return reported(ended.stdout)


def reported(output: str) -> tuple[set[str], set[str]]:
    """What `LOADED` reported of what was loaded: see `loaded`."""
    modules = output.rpartition("loaded ")[2].split()
    ours = {module for module in modules if module.split(".")[0] in ("flows", "operators", "sinks")}
    others = {module.split(".")[0] for module in modules} - sys.stdlib_module_names
    rooms = {"operators.schema", "operators.simulate"}
    return (
        {name if not name.startswith("_cython") else "_cython" for name in others}
        - {"__main__", "_distutils_hack", "flows", "operators", "sinks"}
        - {name for name in others if name.startswith("_sysconfigdata")},
        {".".join(m.split(".")[:2]) if ".".join(m.split(".")[:2]) in rooms else m for m in ours},
    )


def test_help_loads_the_command_line_only(tmp_path: Path) -> None:
    """Not the configuration, and of other packages only what draws the help."""
    others, ours = loaded(tmp_path, "--help")
    assert (others - TYPER, ours - COMMAND_LINE) == (set(), set())


def test_a_plan_loads_what_it_measures(tmp_path: Path) -> None:
    """Neither the engine, nor clients, nor sinks that the configuration does not name."""
    others, ours = loaded(tmp_path, "check", str(CONFIG))
    assert others - {*TYPER, *SETTINGS, *ARROW, "yaml"} == set()
    assert ours - COMMAND_LINE - CONFIGURATION - PARQUET - CHECK == set()


def test_an_export_loads_the_engine_and_one_sink(tmp_path: Path) -> None:
    """No client of the network, nothing that draws, nothing of collection but its settings."""
    others, ours = loaded(tmp_path, "export", str(CONFIG), *MINUTE)
    assert others - {*TYPER, *SETTINGS, *ARROW, "yaml", "bytewax"} == set()
    assert ours - COMMAND_LINE - CONFIGURATION - PARQUET - EXPORT == set()


def test_settings_load_pydantic_and_numpy_and_prepare_nothing(tmp_path: Path) -> None:
    """Pydantic prepares a model that is asked for; all of them at the start would double it."""
    code = """
import sys, flows.config
from operators.schema.settings import Settings
def below(kind):
    return [kind, *(k for sub in kind.__subclasses__() for k in below(sub))]
print(*sorted({m.split(".")[0] for m in sys.modules} - sys.stdlib_module_names))
print(*sorted(k.__name__ for k in below(Settings)[1:] if k.__pydantic_complete__))
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    packages, prepared = ended.stdout.splitlines()
    known = {*SETTINGS, "__main__", "flows", "numpy", "operators", "sinks", "_distutils_hack"}
    assert {name for name in packages.split() if not name.startswith("_sysconfig")} <= known
    assert prepared.split() == ["AnomalySettings", "FleetSettings"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--for", "soon"],
        ["run", "--addresses", "nowhere"],
        ["export", "--start", "tomorrow"],
        ["export", "--interval", "fast"],
        ["replay", str(CONFIG), "--from", "tomorrow"],
        ["score", "alerts.csv", "--against", "day", "--grace", "long"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_answered_before_anything_is_loaded(
    arguments: list[str], tmp_path: Path
) -> None:
    """Options are read first; pydantic is what typer reads them with."""
    command = [sys.executable, "-c", LOADED, *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2, ended.stderr
    others, ours = reported(ended.stdout)
    assert (others - TYPER - SETTINGS, ours - COMMAND_LINE) == (set(), set())
