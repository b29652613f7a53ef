"""The form of NAB: a CSV a series and metric, and all windows in one JSON file.

By github.com/numenta/NAB: `data/<set>/<name>.csv` of `timestamp,value`, and
`labels/combined_windows.json`, which gives each file's windows. NAB widens its windows around
anomalies by hand; these are the runs of shaped ticks themselves.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from flows.anomalies.spans import spans_of
from flows.datasets.files import WrittenCause, WrittenSeries, causes_of, file_name, written
from flows.datasets.series import LabelledSeries

SET = "mqpipe"

_TIME = "%Y-%m-%d %H:%M:%S"
_WINDOW = "%Y-%m-%d %H:%M:%S.%6f"


def write_nab(
    folder: Path, every: Iterable[LabelledSeries]
) -> tuple[list[WrittenSeries], list[WrittenCause]]:
    """Write all series, those without an anomaly too; a file a metric."""
    index: list[WrittenSeries] = []
    causes: list[WrittenCause] = []
    windows: dict[str, list[list[str]]] = {}
    (folder / "data" / SET).mkdir(parents=True)
    (folder / "labels").mkdir()
    for series in every:
        times = series.times.dt.replace_time_zone(None)
        edges = times.dt.strftime(_WINDOW)
        runs = [[edges[start], edges[end - 1]] for start, end in spans_of(series.label).tolist()]
        for metric in series.values.columns:
            name = f"{SET}/{file_name(series.entity, metric)}.csv"
            table = series.values.select(value=metric)
            table.insert_column(0, times.alias("timestamp")).write_csv(
                folder / "data" / name, datetime_format=_TIME
            )
            windows[name] = runs
            index.append(written(f"data/{name}", series, [metric]))
            causes += causes_of(f"data/{name}", series)
    text = json.dumps(windows, indent=2, sort_keys=True)
    (folder / "labels" / "combined_windows.json").write_text(text + "\n", encoding="utf-8")
    return index, causes
