"""`mqpipe export --format tsb-ad|nab`."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from flows.anomalies.ground_truth import ground_truth_of
from flows.config import Config
from flows.datasets.card import card
from flows.datasets.files import write_table
from flows.datasets.nab import write_nab
from flows.datasets.series import labelled_series
from flows.datasets.tsb_ad import write_tsb_ad
from flows.errors import CommandError, UsageError
from flows.export import ExportOptions, export, overridden
from flows.samples import SamplesError, find_samples
from flows.visible import say
from operators.schema.metrics import ENTITY_TYPES
from operators.schema.nearest import suggestion


class Form(StrEnum):
    """What an export writes."""

    PARQUET = "parquet"
    TSB_AD = "tsb-ad"
    NAB = "nab"


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """What the command line says of a data set."""

    form: Form
    univariate: bool = False
    """A file a metric; NAB's are so always."""
    metrics: tuple[str, ...] = ()


def export_dataset(config: Config, options: ExportOptions, dataset: DatasetOptions) -> int:
    """Export a fleet as a benchmark for detectors; the folder appears when it is whole.

    Raises:
        UsageError: the folder is none on this machine, or a metric does not exist.
        CommandError: something is in the way, or no series came of it.
    """
    _known(dataset.metrics)
    out = options.out or f"./{dataset.form}"
    config = overridden(config, replace(options, out=None))  # the card says where
    if "://" in out:
        raise UsageError(f"--out {out}: --format {dataset.form} writes to a directory")
    target = Path(out).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        if not options.overwrite:
            raise CommandError(
                f"{out} is not empty: --overwrite replaces it, or give another --out"
            )
        _is_dataset(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as work:
        samples, made = Path(work) / "samples", Path(work) / "made"
        of_samples = {"path": Path(work) / "state"}
        own = config.model_copy(update={"recovery": config.recovery.model_copy(update=of_samples)})
        code = export(own, replace(options, out=str(samples), overwrite=False, quiet=True))
        if code or not (samples / "_anomalies").is_dir():
            return code
        made.mkdir()
        files = _write(config, samples, made, dataset)
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)
    say(f"{out}: {files:,} series, with series.csv, causes.csv and a card in README.md")
    return 0


def _write(config: Config, samples: Path, folder: Path, dataset: DatasetOptions) -> int:
    found = find_samples(str(samples))
    table = found.anomalies()
    if table is None:
        raise SamplesError(f"{samples}: no table of anomalies")
    first, last = found.span()
    every = labelled_series(found, ground_truth_of(table, first, last), dataset.metrics)
    if dataset.form is Form.NAB:
        index, causes = write_nab(folder, every)
    else:
        index, causes = write_tsb_ad(folder, every, dataset.univariate)
    if not index:
        raise CommandError(
            "no series has an anomaly, and TSB-AD's all have one: configure some under "
            "`simulation.anomalies`, or export a longer time"
        )
    write_table(folder / "series.csv", index)
    write_table(folder / "causes.csv", causes)
    end = last + config.interval_ms
    text = card(config, first, end, index, causes, version("mqpipe"))
    (folder / "README.md").write_text(text, encoding="utf-8")
    return len(index)


def _known(metrics: Sequence[str]) -> None:
    names = [metric.name for entity_type in ENTITY_TYPES for metric in entity_type.numeric]
    for metric in metrics:
        if metric not in names:
            raise UsageError(f"--metric {metric}: no such metric; {suggestion(metric, names)}")


def _is_dataset(folder: Path) -> None:
    """Only what was written here may be replaced."""
    if not (folder / "series.csv").is_file():
        raise CommandError(
            f"{folder} holds no data set of this command (series.csv): --overwrite would remove "
            "what is there; give another --out"
        )
