"""`mqpipe tail`: what is there last, and then what comes."""

import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from flows.config import Config
from flows.errors import CommandError, ConfigError, UsageError
from flows.tail.lines import LineLayout, json_line
from flows.tail.places import Place, SampleRow, of_config, of_uri
from flows.visible import say
from operators.recorded.plan import ReplayError
from operators.schema.metrics import EntityType
from operators.schema.nearest import suggestion

_LOOK = 0.5
"""Seconds between two looks for what is new."""
_NAMES = 10_000
"""Samples of each type, the latest, among whose entities the nearest name is looked for."""
_YAML = (".yaml", ".yml")
_NEVER = datetime.min.replace(tzinfo=UTC)
"""Where a sample without a time is among the others."""


@dataclass(frozen=True, slots=True)
class TailOptions:
    """What the command line says: `lines` of what is there, `kind` and `entity` to choose by."""

    lines: int = 20
    follow: bool = True
    kind: str | None = None
    entity: str | None = None
    as_json: bool = False


def tail(place: str, options: TailOptions, load: Callable[[Path], Config]) -> int:
    """Print samples until Ctrl-C; of a configuration, those of its job.

    Raises:
        UsageError: there is no such place.
        CommandError: there is nothing to read there.
    """
    # Whoever stops it, it was asked to show what comes until then.
    stops: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stops.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def opened() -> Place:
        return of_config(_loaded(place, load)) if _is_config(place) else of_uri(place)

    try:
        _show(opened, options)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # `| head` has seen enough.
        sys.stderr.close()
    except ReplayError as error:
        raise CommandError(str(error)) from error
    except Exception:
        # In the midst of reading a file, it is an error of whoever reads that a stop becomes.
        if not stops:
            raise
    return 0


def _is_config(place: str) -> bool:
    return Path(place).is_file() or Path(place).suffix in _YAML


def _loaded(place: str, load: Callable[[Path], Config]) -> Config:
    try:
        return load(Path(place))
    except ConfigError as error:
        # Nothing in it is a configuration's: a table of alerts, say, or one file of samples.
        if Path(place).suffix in _YAML or any(fault.path for fault in error.faults):
            raise
        raise UsageError(
            f"{place}: is no configuration and no folder of samples: name a YAML file, a folder, "
            "s3://… or kafka://host:9092/topic"
        ) from error


def _show(opened: Callable[[], Place], options: TailOptions) -> None:
    samples = opened()
    say(f"{samples.name}{': until Ctrl-C' if options.follow else ''}", err=True)
    there = sorted(_chosen(samples, options), key=lambda item: item[1]["timestamp"] or _NEVER)
    if not options.as_json:
        _write(_layout().heading)
    for entity_type, row in there[len(there) - options.lines :] if options.lines else ():
        _print(entity_type, row, options)
    if not there and options.lines:
        say(_nothing(opened, options), err=True)
    sys.stdout.flush()
    while options.follow and not _reader_is_gone():
        time.sleep(_LOOK)
        for entity_type, row in _chosen(samples, options):
            _print(entity_type, row, options)
        sys.stdout.flush()


def _nothing(opened: Callable[[], Place], options: TailOptions) -> str:
    """That there are no samples; of a type or an entity, whether there are others."""
    kind = "" if options.kind is None else f" of type {options.kind}"
    if options.entity is not None:
        anyone = replace(options, entity=None, lines=_NAMES)
        names = {str(row.get("entity_name") or "") for _, row in _chosen(opened(), anyone)} - {""}
        if names:
            return (
                f"no samples{kind} of {options.entity} there; {suggestion(options.entity, names)}"
            )
    anything = replace(options, entity=None, kind=None, lines=1)
    if kind and next(_chosen(opened(), anything), None) is not None:
        return f"no samples{kind} there"
    return "no samples there yet"


def _reader_is_gone() -> bool:
    """Whether whoever reads what is printed has closed it: nothing may come to be written."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    return bool(reader.poll(0))


def _print(entity_type: EntityType, row: SampleRow, options: TailOptions) -> None:
    _write(json_line(row) if options.as_json else _layout().line(entity_type, row))


def _layout() -> LineLayout:
    return LineLayout(shutil.get_terminal_size().columns if sys.stdout.isatty() else None)


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _chosen(samples: Place, options: TailOptions) -> Iterator[tuple[EntityType, SampleRow]]:
    for entity_type, rows in samples.read(options.lines, options.entity):
        if options.kind is not None and entity_type.label != options.kind:
            continue
        for row in rows:
            if _is_of(options.entity, row):
                yield entity_type, row


def _is_of(entity: str | None, row: SampleRow) -> bool:
    name = str(row.get("entity_name") or "")
    return entity is None or name == entity or name.startswith(f"{entity}/")
