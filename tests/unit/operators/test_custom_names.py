"""What authors of custom parts import: these names stay, and their types are there."""

import inspect
from importlib import import_module
from importlib.resources import files
from pkgutil import iter_modules

import pytest

from operators import custom
from tests.documents import ROOT, blocks

NAMES = {
    "BROKER", "CLUSTER", "CONSUMER_GROUP", "GROUP_TOPIC", "NODE", "PARTITION_OFFSET", "QUEUE", "TOPIC",
    "AskedGenerator", "Block", "Case", "ClusterIdentity", "Collector", "Effect", "EntityType",
    "Generator", "Kind", "Lever", "PooledGenerator", "Scene", "ShardSpec", "collected_batch", "entity_guid",
    "entity_path", "sample_batch",
}  # fmt: skip
"""None is taken away or renamed without a word in the changelog's section on upgrading."""


def test_names_are_these() -> None:
    assert {name for names in custom.MODULES.values() for name in names} == NAMES
    assert all(hasattr(custom, name) for name in NAMES)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("collected_batch", "identity tick entity_type parts names columns provider"),
        ("sample_batch", "entity_type rows columns"),
        ("entity_guid", "account_id entity_type provider cluster parts"),
    ],
)
def test_what_is_called_takes_what_it_took(name: str, parameters: str) -> None:
    """By position and by name, each with its type."""
    signature = inspect.signature(getattr(custom, name))
    assert list(signature.parameters) == parameters.split()
    assert inspect.Signature.empty not in (
        signature.return_annotation,
        *(parameter.annotation for parameter in signature.parameters.values()),
    )


@pytest.mark.parametrize(
    ("name", "method", "parameters"),
    [
        ("Collector", "collect", "self tick time_left"),
        ("AskedGenerator", "generate", "self tick time_left"),
        ("Generator", "step", "self block"),
        ("Generator", "state", "self"),
        ("Generator", "restore", "self state"),
    ],
)
def test_what_authors_write_is_called_with_what_it_was(
    name: str, method: str, parameters: str
) -> None:
    """A protocol says it, which a type checker holds a custom part against."""
    signature = inspect.signature(getattr(getattr(custom, name), method))
    assert list(signature.parameters) == parameters.split()


@pytest.mark.parametrize("page", ["collectors.md", "simulation.md"])
def test_documented_examples_import_nothing_else(page: str) -> None:
    lines = [line for block in blocks(ROOT / "docs" / page) for line in block.text.splitlines()]
    ours = [
        line for line in lines if line.startswith(("from operators", "from flows", "from sinks"))
    ]
    assert ours
    assert all(line.startswith("from operators.custom import ") for line in ours)


@pytest.mark.parametrize("package", ["operators", "flows", "sinks"])
def test_packages_are_typed(package: str) -> None:
    """For the type checker of whoever imports them."""
    assert files(package).joinpath("py.typed").is_file()


@pytest.mark.parametrize("package", ["operators.pool", "operators.simulate"])
def test_no_module_hides_a_name_that_its_package_offers(package: str) -> None:
    """Once a module is imported its package has it by its name, whatever that stood for before."""
    offered = import_module(package)
    names = {name for names in offered._MODULES.values() for name in names}
    assert names
    assert names & {module.name for module in iter_modules(offered.__path__)} == set()
