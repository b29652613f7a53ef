"""The form of TSB-AD: a CSV a series, `Label` last, the length of the training part in its name.

By github.com/TheDatumOrg/TSB-AD: `001_<set>_id_<n>_<domain>_tr_<train>_1st_<first anomaly>.csv`;
TSB-AD-U has one column `Data` before the label, TSB-AD-M one a feature.
"""

from collections.abc import Iterable
from itertools import count
from pathlib import Path

import polars as pl

from flows.datasets.files import WrittenCause, WrittenSeries, causes_of, written
from flows.datasets.series import LabelledSeries

DOMAIN = "MessageQueue"


def write_tsb_ad(
    folder: Path, every: Iterable[LabelledSeries], univariate: bool
) -> tuple[list[WrittenSeries], list[WrittenCause]]:
    """Write the series that have an anomaly, as TSB-AD's all have: one file each, or one a metric."""
    index: list[WrittenSeries] = []
    causes: list[WrittenCause] = []
    number = count(1)
    for entity, series in enumerate((s for s in every if s.first is not None), 1):
        label = pl.Series("Label", series.label.astype("int8"))
        names = series.values.columns
        for metrics in [[name] for name in names] if univariate else [names]:
            file = (
                f"{next(number):03d}_mqpipe_id_{entity}_{DOMAIN}"
                f"_tr_{series.train}_1st_{series.first}.csv"
            )
            values = series.values.select(metrics).cast(pl.Float64)
            table = values.rename({metrics[0]: "Data"}) if univariate else values
            table.with_columns(label).write_csv(folder / file)
            index.append(written(file, series, metrics))
            causes += causes_of(file, series)
    return index, causes
