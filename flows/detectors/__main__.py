"""`python -m flows.detectors`: run a detector on samples, or hold them all against simulated fleets."""

import argparse
import sys
from pathlib import Path

import polars as pl

from flows.detectors.bench import ALERTING, NAMES, SCORING
from flows.detectors.page import page
from flows.errors import CommandError, UsageError
from flows.samples import clear_read_errors, find_samples


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.detectors", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="write what a detector says of samples, for mqpipe score")
    run.add_argument("detector", choices=NAMES)
    run.add_argument("uri", help="samples, as mqpipe export or run writes them")
    run.add_argument("--out", type=Path, required=True, help="a file: .parquet or .csv")
    made = commands.add_parser("page", help="write the page that compares them; takes minutes")
    made.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "page":
            _write(given.file, page().encode())
        else:
            detect(given.detector, given.uri, given.out)
    except UsageError as error:
        print(error, file=sys.stderr)  # noqa: T201 - it is the result
        return 2
    except CommandError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def detect(detector: str, uri: str, out: Path) -> None:
    """Write what a detector says of the samples below a URI.

    Raises:
        UsageError: the file's name ends otherwise, or a rule cannot be evaluated.
        CommandError: there are no samples, or the file cannot be written.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--out {out}: write .csv or .parquet")
    with clear_read_errors(uri):
        samples = find_samples(uri)
        if detector in ALERTING:
            said = ALERTING[detector](samples).drop("cause")
        else:
            none = pl.DataFrame(schema={"entity": pl.String, "time": pl.Int64, "score": pl.Float64})
            said = pl.concat([none, *SCORING[detector](samples)])
    text = None if out.suffix == ".parquet" else said.write_csv()
    try:
        if text is None:
            said.write_parquet(out)
        else:
            out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{out}: cannot be written: {error.strerror}") from error


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{file}: cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
