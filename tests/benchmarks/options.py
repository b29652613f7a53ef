"""What the command lines of the benchmarks share: their options, and figures as JSON."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any


def parser_of(description: str | None, rounds: int | None = None) -> ArgumentParser:
    """A parser with `--json FILE`; with `--rounds` too where their usual number is given."""
    parser = ArgumentParser(description=description)
    if rounds is not None:
        parser.add_argument(
            "--rounds", type=int, default=rounds, help="the median, or best, counts"
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def keep(figures: Any, file: Path | None) -> None:
    """Write figures to the file that `--json` names, where it names one."""
    if file is not None:
        file.write_text(json.dumps(figures, indent=2))
