"""`mqpipe report`: from a URI to a page, and to a PNG of each plot."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from flows.drawing import library
from flows.drawing.page import Plot
from flows.errors import CommandError
from flows.observe.progress import stages
from flows.report.anomalies import anomalies
from flows.report.gaps import gaps
from flows.report.overview import overview
from flows.report.page import page
from flows.report.plots import MOST_CLUSTERS, plots_of
from flows.report.summary import summarize
from flows.samples import clear_read_errors, find_samples
from flows.units import of
from flows.visible import say
from operators.schema.names import short_file_part


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What the command line says."""

    out: Path = Path("report.html")
    png: Path | None = None
    progress: bool = False


def report(uri: str, options: ReportOptions) -> int:
    """Make a report of the samples below a URI.

    Raises:
        SamplesError: there are none.
        MissingExtraError: what draws the plots is not installed.
        CommandError: the report cannot be written.
    """
    samples = find_samples(uri)
    _require_writable(options)
    with (
        stages(options.progress) as report_stage,
        ThreadPoolExecutor(1) as background,
        clear_read_errors(uri),
    ):
        # The library takes seconds to put together, about as long as a day's samples to read.
        script = background.submit(library.script)
        summary = summarize(samples, report_stage)
        found, missing = anomalies(summary), gaps(summary)
        table = overview(summary, found, missing)
        busiest = table.sort("messages", descending=True, nulls_last=True)["cluster"]
        plots = plots_of(summary, found, missing, sorted(busiest.head(MOST_CLUSTERS)))
        report_stage("writing the page")
        text = page(summary, table, plots, found, missing, script.result())
        try:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(text, encoding="utf-8")
            if options.png is not None:
                _images(plots, options.png, report_stage)
        except OSError as error:
            raise CommandError(
                f"{error.filename or options.out}: the report cannot be written there: {error.strerror}; "
                "name another place by --out or --png"
            ) from error
    say(f"{options.out}: {of(summary.rows, 'sample')} of {of(table.height, 'cluster')}")
    if options.png is not None:
        say(f"{options.png}: {len(plots)} plots")
    return 0


def _require_writable(options: ReportOptions) -> None:
    """Nothing, where the page and the images can be written: they take seconds to make.

    Raises:
        CommandError: they cannot.
    """
    out = options.out
    try:
        if options.png is not None:
            options.png.mkdir(parents=True, exist_ok=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        there = out.exists()
        with out.open("ab"):
            pass
        if not there:
            out.unlink()
    except OSError as error:
        raise CommandError(
            f"{error.filename or out}: the report cannot be written there: {error.strerror}; "
            "name another place by --out or --png"
        ) from error


def _images(plots: Sequence[Plot], folder: Path, report_stage: Callable[[str], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, plot in enumerate(plots, 1):
        report_stage(f"drawing {number} of {len(plots)}: {plot.name}")
        title = f"{plot.cluster}: {plot.title}" if plot.cluster else plot.title
        image = library.png(plot.spec, title, plot.note)
        (folder / f"{short_file_part(plot.name)}.png").write_bytes(image)
