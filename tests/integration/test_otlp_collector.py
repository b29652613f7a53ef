"""A real OpenTelemetry Collector takes what `sinks.otlp` sends, and says again what samples say."""

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests.documents import ROOT
from tests.mqpipe import mqpipe
from tests.otlp.conversions import batches_below, expected, reported
from tests.otlp.reading import Point, points_of
from tests.ports import PortClaim

pytestmark = [
    pytest.mark.long("builds an OpenTelemetry Collector from Go's modules, which takes minutes"),
    pytest.mark.timeout(1_800),
]

SOURCE = ROOT / "tests/otlp/collector"
"""Its two parts: the OTLP receiver and an exporter to a file, of release 0.161."""


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Collector, built."""
    target = tmp_path_factory.mktemp("collector") / "otlp-to-file"

    if shutil.which("go") is None:
        pytest.skip("Go is not installed (Debian: apt-get install golang)")
    build = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(target), "."]
    subprocess.run(build, cwd=SOURCE, check=True)
    return target


@pytest.fixture
def collector(binary: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its endpoint, and the file that it writes."""
    written = tmp_path / "collected.json"
    with PortClaim() as claim:
        config = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{claim.port}"}}}},
            "exporters": {"file": {"path": str(written), "flush_interval": "50ms"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["file"]}},
            },
        }
        (tmp_path / "collector.yaml").write_text(yaml.safe_dump(config))
        command = [str(binary), "--config", str(tmp_path / "collector.yaml")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "Everything is ready" in line:
                    break
            yield f"http://127.0.0.1:{claim.port}", written
            process.terminate()
            process.stderr.read()


def points_in(file: Path) -> Iterator[Point]:
    """What the Collector wrote: a request a line, as JSON."""
    for line in file.read_text().splitlines():
        request = Parse(line, ExportMetricsServiceRequest())
        yield from points_of(request.SerializeToString())


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_a_collector_says_again_what_the_files_hold(
    tmp_path: Path, collector: tuple[str, Path], compression: str
) -> None:
    """Every value of two clusters and of queues, with its times and attributes."""
    endpoint, written = collector
    (tmp_path / "mqpipe.yaml").write_text(
        yaml.safe_dump(
            {
                "interval": "1s",
                "simulation": {
                    "fleets": [
                        {"name": "demo", "clusters": 2, "topics": 20},
                        {"name": "jobs", "provider": "sqs", "queues": 5},
                    ],
                    "anomalies": [{"kind": "spike", "rate": 100.0}],
                },
                "sinks": {
                    "parquet": {"path": "samples"},
                    "otlp": {"endpoint": endpoint, "compression": compression},
                },
                "recovery": {"path": "state"},
                "metrics": {"listen": None},
            }
        )
    )
    ended = mqpipe(tmp_path, "run", "mqpipe.yaml", "--for", "3s")
    assert ended.code == 0, ended.err
    wanted = Counter(
        point for batch in batches_below(tmp_path / "samples") for point in expected(batch, 1_000)
    )
    assert len(wanted) > 500
    end = time.monotonic() + 30
    while (got := Counter(reported(points_in(written)))) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    assert got == wanted
