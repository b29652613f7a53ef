"""What `tail` reads of a configuration: each sink says where its samples are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.config import Config
from flows.errors import CommandError
from flows.sinks import sinks_of
from flows.tail.places import Parquet, Topic, of_config
from sinks.disk import lock
from tests.samples import numbered
from tests.sink_jobs import job_in

NOWHERE = "127.0.0.1:9"
"""Where nothing listens."""
SINKS: Mapping[str, Mapping[str, Any]] = {
    "parquet": {"path": "samples"},
    "deltalake": {"path": "tables"},
    "otlp": {"endpoint": f"http://{NOWHERE}"},
}


def config_of(**sinks: Mapping[str, Any]) -> Config:
    """A simulation that writes to these."""
    fleets = [{"name": "demo"}]
    return Config.model_validate({"simulation": {"fleets": fleets}, "sinks": sinks})


@pytest.mark.parametrize("name", SINKS)
def test_what_a_running_job_has_written_is_read_where_the_sink_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is published or delivered."""
    monkeypatch.chdir(tmp_path)
    config = config_of(**{name: SINKS[name]})
    state = config.recovery.path / "run"
    (sink,) = sinks_of(config)
    output: Any = sink.open(job_in(state, parts=lambda _sink: ["sim-eu"])).output
    part = output.build_part("step", output.list_parts()[0], None)
    part.write_batch([numbered(range(3))])
    part.snapshot()
    lock(state / "lock-0")

    rows = [row["entity_name"] for _, some in of_config(config).read(10, None) for row in some]

    assert rows == ["sim-eu/0", "sim-eu/1", "sim-eu/2"]
    part.close()


def test_without_a_job_a_topic_is_read_before_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    topic = {"bootstrap_servers": NOWHERE, "topic": "samples"}
    files = {"path": "samples"}

    assert isinstance(of_config(config_of(parquet=files)), Parquet)
    assert isinstance(of_config(config_of(parquet=files, kafka=topic)), Topic)
    with pytest.raises(CommandError, match="none of its sinks can be read"):
        of_config(config_of(deltalake=files))
