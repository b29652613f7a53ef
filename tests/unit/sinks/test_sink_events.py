"""What sinks report of samples: counts and ticks by origin."""

from pathlib import Path

import pyarrow as pa

from operators.schema.arrow import sample_batch
from operators.schema.metrics import COLLECTION, TOPIC
from sinks.events import SamplesWritten, by_origin, count_by_origin
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from tests.sink_jobs import job_in


def batch(ticks: list[int], origins: list[str | None]) -> pa.RecordBatch:
    return sample_batch(TOPIC, len(ticks), {"timestamp": ticks, "origin": origins})


def test_counts_and_ticks_are_by_origin_over_all_batches() -> None:
    """Origins may mix in a batch and go on in the next; an absent one has a name too."""
    batches = [
        batch([3_000, 1_000, 2_000], ["collected", "filled", "filled"]),
        batch([4_000, 2_000], ["collected", "collected"]),
        batch([9_000, 3_000], [None, "collected"]),
        batch([], []),
    ]
    assert count_by_origin(batches) == {"collected": 4, "filled": 2, "unknown": 1}
    assert by_origin(batches)[1] == {
        "collected": (2_000, 4_000),
        "filled": (1_000, 2_000),
        "unknown": (9_000, 9_000),
    }


def test_rows_that_report_ticks_are_no_collected_samples() -> None:
    """Where nothing answers, nothing was collected, and yet there is a row a target and tick."""
    reported = sample_batch(COLLECTION, 2, {"timestamp": [1_000, 2_000], "origin": "collected"})
    batches = [reported, batch([3_000], ["collected"])]
    assert count_by_origin(batches) == {"collection": 2, "collected": 1}
    assert by_origin(batches)[1] == {
        "collection": (1_000, 2_000),
        "collected": (3_000, 3_000),
    }


def test_the_parquet_sink_reports_what_it_took_over(tmp_path: Path) -> None:
    """One event a write, with all its batches."""
    heard: list[object] = []
    settings = ParquetSettings(path=str(tmp_path / "samples"))
    job = job_in(tmp_path / "state", parts=lambda _: ["c"], listener=heard.append)
    sink = RolledParquet(settings, job)
    part = sink.build_part("step", "c", None)
    part.write_batch([batch([1_000], ["collected"]), batch([2_000], ["collected"])])
    part.close()
    assert heard == [SamplesWritten("parquet", {"collected": 2}, {"collected": (1_000, 2_000)})]
