"""Parquet and Delta tables in an object store, against moto's S3 server: as in a directory."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from operators.schema.metrics import TOPIC
from sinks.deltalake.rolled import RolledDelta
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.parquet.direct import DirectParquet
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from sinks.rolled.settings import RollSettings
from tests.mqpipe import mqpipe
from tests.samples import NEW_YEAR, numbered
from tests.sink_jobs import job_in


class Bucket:
    """A bucket on a server of its own. `uri` is what a user would write as `sinks.parquet.path`."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        self.client.create_bucket(Bucket="samples")
        host = endpoint.removeprefix("http://")
        self.uri = f"s3://samples/mq?scheme=http&endpoint_override={host}&region=us-east-1"

    def keys(self, prefix: str = "mq/type=") -> list[str]:
        listed = self.client.list_objects_v2(Bucket="samples", Prefix=prefix)
        return [o["Key"] for o in listed.get("Contents", ()) if not o["Key"].endswith("/")]

    def numbers(self) -> list[int]:
        fs, _ = pafs.FileSystem.from_uri(self.uri)
        found: list[int] = []
        for key in self.keys():
            names = pq.ParquetFile(f"samples/{key}", filesystem=fs).read(["entity_name"])
            found += [int(n.rpartition("/")[2]) for n in names["entity_name"].to_pylist()]
        return sorted(found)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """In a process of its own: Arrow may wait for it with the interpreter's lock held."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = next(
            re.findall(r"http://[\d.:]+", line) for line in process.stderr if "http" in line
        )
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield address[0]
        process.terminate()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = Bucket(server)
    yield bucket
    keys = [{"Key": o["Key"]} for o in bucket.client.list_objects_v2(Bucket="samples")["Contents"]]
    bucket.client.delete_objects(Bucket="samples", Delete={"Objects": keys})
    bucket.client.delete_bucket(Bucket="samples")


def direct(bucket: Bucket, state: Any = None) -> Any:
    sink = DirectParquet(ParquetSettings(path=bucket.uri), ["sim-eu"], "r")
    return sink.build_part("step", "sim-eu", state)


def test_straight_files_are_published_once(bucket: Bucket) -> None:
    """Nothing is visible before a snapshot, and what a killed epoch left is deleted."""
    partition = direct(bucket)
    partition.write_batch([numbered([1, 2]), numbered([3], entity_type=TOPIC)])
    assert bucket.keys() == []
    state = partition.snapshot()
    assert bucket.keys() == [
        "mq/type=broker/date=2026-01-01/r-sim-eu-000000.parquet",
        "mq/type=topic/date=2026-01-01/r-sim-eu-000000.parquet",
    ]
    partition.write_batch([numbered([4])])
    partition.snapshot()
    partition.write_batch([numbered([5])])
    partition._open.finish()
    assert len(bucket.keys("mq/_open/")) == 1
    resumed = direct(bucket, state)
    assert bucket.keys("mq/_open/") == []
    assert bucket.numbers() == [1, 2, 3]
    resumed.write_batch([numbered([4, 5])])
    resumed.snapshot()
    assert bucket.numbers() == [1, 2, 3, 4, 5]


def test_polars_and_pyarrow_read_a_types_folder(bucket: Bucket) -> None:
    """By their default calls, beside files that are still being written."""
    partition = direct(bucket)
    partition.write_batch([numbered(range(20))])
    partition.snapshot()
    partition.write_batch([numbered([99])])
    fs, base = pafs.FileSystem.from_uri(bucket.uri)
    dataset = ds.dataset(f"{base}/type=broker", filesystem=fs, partitioning="hive")
    assert dataset.to_table().num_rows == 20
    frame = pl.read_parquet(
        "s3://samples/mq/type=broker/",
        storage_options={
            "aws_endpoint_url": bucket.endpoint,
            "aws_region": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "aws_allow_http": "true",
        },
    )
    assert (frame.height, frame["date"].unique().len()) == (20, 1)


def test_rolled_files_are_published_once(bucket: Bucket, tmp_path: Path) -> None:
    """The log is local, files are uploaded in the background, a drain and a restart repeat none."""

    def life(state: Any = None) -> tuple[RolledParquet, Any]:
        settings = ParquetSettings(path=bucket.uri, roll=RollSettings(rows=2))
        job = job_in(tmp_path, run="r", parts=lambda _: ["sim-eu"])
        sink = RolledParquet(settings, job, clock=lambda: NEW_YEAR, soon=False)
        return sink, sink.build_part("step", "sim-eu", state)

    sink, partition = life()
    for n in range(3):
        partition.write_batch([numbered([n])])
        partition.snapshot()
    futures.wait([partition._publishing[1]])
    assert bucket.numbers() == [0, 1]
    stored = partition.snapshot()
    partition.close()
    sink.finish()
    assert bucket.numbers() == [0, 1, 2]
    sink, partition = life(stored)
    partition.write_batch([numbered([3])])
    partition.snapshot()
    partition.close()
    sink.finish()
    assert bucket.numbers() == [0, 1, 2, 3]


def test_rows_are_committed_to_delta_tables_once(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the environment says; two processes' commits come one after the other."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    settings = DeltaLakeSettings(path="s3://samples/delta")
    states: list[Any] = [None, None]
    for life in range(2):
        jobs = [job_in(tmp_path / p, run="r", parts=lambda _: ["a", "b"]) for p in "ab"]
        sinks = [RolledDelta(settings, job) for job in jobs]
        parts = [
            sink.build_part("step", p, states["ab".index(p)])
            for sink, p in zip(sinks, "ab", strict=True)
        ]
        for part in parts:
            part.write_batch([numbered([life])])
        states = [part.snapshot() for part in parts]
        for part in parts:
            part.close()
        with ThreadPoolExecutor(2) as executor:
            for done in [executor.submit(sink.finish) for sink in sinks]:
                done.result()
    read = pl.read_delta("s3://samples/delta/broker", columns=["entity_name"])
    assert sorted(read["entity_name"]) == ["sim-eu/0"] * 2 + ["sim-eu/1"] * 2
    assert DeltaTable("s3://samples/delta/broker").version() == 3


def test_an_upload_in_parts_is_invisible_until_it_is_whole(bucket: Bucket) -> None:
    """A file larger than one part of a multipart upload appears at once."""
    partition = direct(bucket)
    block = numbered(range(1000))
    for _ in range(150):
        partition.write_batch([block])
    assert bucket.keys() == []
    partition.snapshot()
    assert len(bucket.numbers()) == 150_000


def test_report_is_made_of_an_object_store(bucket: Bucket, tmp_path: Path) -> None:
    """The URI that the sink wrote to is the one that a report reads from."""
    partition = direct(bucket)
    partition.write_batch([numbered(range(5)), numbered(range(7), entity_type=TOPIC)])
    partition.close()
    ended = mqpipe(tmp_path, "report", bucket.uri)
    assert ended.code == 0, ended.err
    assert ended.out == "report.html: 12 samples of 1 cluster\n"


def test_a_key_in_a_uri_is_used_and_never_shown(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By export, check, report and score alike, with a custom server."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    uri = bucket.uri.replace("s3://", "s3://AKIAEXAMPLE:s%2FcretOfMine@")
    config = f"simulation: {{fleets: [{{name: a}}]}}\nsinks: {{parquet: {{path: '{uri}'}}}}\n"
    (tmp_path / "c.yaml").write_text(config)
    (tmp_path / "alerts.csv").write_text("entity,time\na,2026-01-01T00:00:00Z\n")
    times = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T00:10:00Z")
    page = tmp_path / "r.html"
    for arguments in (
        ("export", "c.yaml", *times),
        ("export", "c.yaml", *times, "--resume"),
        ("check", "c.yaml", "--connect"),
        ("report", uri, "--out", str(page)),
        ("score", "alerts.csv", "--against", uri),
    ):
        ended = mqpipe(tmp_path, *arguments)
        assert ended.code == 0, ended.err
        assert "cretOfMine" not in ended.out + ended.err
        assert "AKIAEXAMPLE" not in ended.out + ended.err
    assert "cretOfMine" not in page.read_text()
    again = mqpipe(tmp_path, "export", "c.yaml", *times, "--out", uri.replace("s3:", "s3x:"))
    assert again.code == 2
    assert "cretOfMine" not in again.err
