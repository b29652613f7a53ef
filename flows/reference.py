"""Reference pages made from the code, so that they cannot drift: `python -m flows.reference docs`.

With `--check` nothing is written, and the exit code is 1 where a page is not what it should be.
"""

import argparse
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flows.config import Config
from flows.dashboard.command import grafana_board
from operators.schema.arrow import COMMON
from operators.schema.metrics import ENTITY_TYPES, EVENTS_ALONE, STRING, EntityType
from operators.schema.units import parse_duration, parse_size
from operators.simulate.anomalies.kinds import KINDS
from operators.simulate.patterns import BUILT_IN, Custom


def metrics_page() -> str:
    """docs/metrics.md: every column of every entity type, from the metric table."""
    lines = [
        "# Metrics",
        "",
        "Made from the metric table in `operators/schema/metrics.py`. What was not measured is",
        "null, never 0. Metrics keep their names everywhere: in Parquet, in New Relic's events, on",
        "dashboards.",
        "",
        "## Columns of every sample",
        "",
        "| column | Arrow type | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {_type(type_)} | {meaning} |" for name, type_, meaning in COMMON),
    ]
    for entity in (*ENTITY_TYPES, *EVENTS_ALONE):
        rows = "none" if entity in EVENTS_ALONE else f"`type={entity.label}`"
        lines += [
            "",
            f"## {entity.name}",
            "",
            f"Parquet: {rows}. New Relic event: {_event_types(entity)}.",
            "",
        ]
        if entity.identity:
            lines += [
                "| column | attribute in New Relic | Arrow type | meaning |",
                "|---|---|---|---|",
                *(
                    f"| `{i.column}` | `{i.attribute}` | {_type(i.type)} | {i.meaning} |"
                    for i in entity.identity
                ),
                "",
            ]
        lines += [
            "| metric | kind | unit | Arrow type | meaning | OpenTelemetry |",
            "|---|---|---|---|---|---|",
        ]
        for m in entity.metrics:
            otel = f"`{m.otel}`" if m.otel else ""
            lines.append(
                f"| `{m.name}` | {m.kind} | {m.unit} | {_type(m.type)} | {m.meaning} | {otel} |"
            )
    return "\n".join(lines) + "\n"


def _event_types(entity: EntityType) -> str:
    own = [f"of {provider} `{name}`" for provider, name in entity.provider_events]
    return ", ".join([f"`{entity.event_type}`", *own])


def _type(type_: object) -> str:
    return "string (dictionary)" if type_ == STRING else str(type_)


def config_page() -> str:
    """docs/config.md: every key, from the models that validate the configuration."""
    lines = [
        "# Configuration",
        "",
        "Made from the models that validate it. YAML; an unknown key is refused with its path, its",
        "line and the nearest right name. `${VAR}` and `${VAR:-default}` come from the environment;",
        "`$$` is a dollar sign. Durations are written `250ms`, `30s`, `10m`, `24h`, `30d`; sizes",
        "`512MiB`, `2GiB`, `1GB`. `[]` stands for each item of a list. A JSON Schema for editors is",
        "[config.schema.json](config.schema.json).",
        "",
        "## At the top",
        "",
        *_table(_keys(Config, "", deep=False)),
    ]
    for name, field in Config.model_fields.items():
        for model, many in _models(field.annotation):
            prefix = f"{name}[]." if many else f"{name}."
            whole = None if many else _left_out(field)
            lines += ["", f"## {name}", "", *_table(_keys(model, prefix, whole))]
    lines += ["", *_patterns(), "", *_anomalies()]
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[str]) -> list[str]:
    return ["| key | default | meaning |", "|---|---|---|", *rows]


def _keys(
    model: type[BaseModel], prefix: str, default: BaseModel | None = None, *, deep: bool = True
) -> Iterator[str]:
    """A row a key. `default` is the model's value where the key above it is left out."""
    model.model_rebuild()  # or annotations of what is defined further below are only names
    for name, field in model.model_fields.items():
        inner = _models(field.annotation)
        path = f"{prefix}{field.alias or name}"
        if any(many for _, many in inner):
            path += "[]"
        own = _left_out(field)
        value = own if default is None else getattr(default, name)
        meaning = (field.description or "").replace("<", "&lt;")
        yield f"| `{path}` | {_default(value, field)} | {meaning} |"
        # Of several models one is chosen by its `kind`: those have a section of their own.
        if deep and len(inner) == 1:
            below = value if isinstance(value, inner[0][0]) else None
            yield from _keys(inner[0][0], f"{path}.", below)


def _left_out(field: FieldInfo) -> Any:
    """What a field is that is left out."""
    default = field.get_default(call_default_factory=True)
    models = [model for model, _ in _models(field.annotation)]
    if not models or not isinstance(default, dict):
        return default
    kind = default.get("kind")
    (model,) = (m for m in models if kind is None or m.model_fields["kind"].default == kind)
    return model(**default)


def _models(annotation: Any, *, many: bool = False) -> list[tuple[type[BaseModel], bool]]:
    """The models in an annotation, and whether they are items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, many)]
    listed = many or get_origin(annotation) in (tuple, list)
    return [found for part in get_args(annotation) for found in _models(part, many=listed)]


def _default(default: Any, field: FieldInfo) -> str:
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel):
        kind = getattr(default, "kind", None)
        return f"`{kind}`" if kind else ""
    if default is None or default in ((), {}, []):
        return ""
    return f"`{_written(default, field)}`"


def _written(default: Any, field: FieldInfo) -> str:
    """A default as one writes it in a file."""
    parsers = {m.func for m in field.metadata if isinstance(m, BeforeValidator)}
    if parse_duration in parsers:
        return _with_unit(default, _DURATIONS)
    if parse_size in parsers:
        return _with_unit(default, _SIZES)
    if isinstance(default, str | Path):
        return str(default)
    return json.dumps(default, default=lambda value: getattr(value, "pattern", None) or str(value))


_DURATIONS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_SIZES = {"GiB": 2**30, "MiB": 2**20, "GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1}


def _with_unit(number: float, units: Mapping[str, float]) -> str:
    """In the largest unit of which it is a whole number; one day stays 24h."""
    for unit, one in units.items():
        if number >= (2 * one if unit == "d" else one) and number % one == 0:
            return f"{number / one:g}{unit}"
    return f"{number:g}"


def _patterns() -> Iterator[str]:
    yield "## Patterns"
    yield ""
    yield "A fleet's `pattern` is a name, or a mapping with its `kind` and settings. The factor that"
    yield "it gives multiplies the fleet's traffic."
    for kind, pattern in BUILT_IN.items():
        yield ""
        yield f"### {kind}"
        yield ""
        yield _prose(pattern)
        keys = [key for key in _keys(pattern, "", deep=False) if not key.startswith("| `kind`")]
        if keys:
            yield ""
            yield from _table(keys)
    yield ""
    yield "### A custom one"
    yield ""
    yield _prose(Custom)
    yield ""
    yield from _table(_keys(Custom, ""))


def _anomalies() -> Iterator[str]:
    yield "## Anomalies"
    yield ""
    yield "| kind | starts at a | what happens |"
    yield "|---|---|---|"
    for name, kind in KINDS.items():
        roots = ", ".join(root.label.replace("_", " ") for root in kind.roots)
        yield f"| `{name}` | {roots} | {_prose(kind.effects)} |"


def _prose(documented: object) -> str:
    """A docstring as one paragraph, or several."""
    paragraphs = (inspect.getdoc(documented) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def config_schema() -> str:
    """docs/config.schema.json: the JSON Schema of a configuration."""
    return json.dumps(Config.model_json_schema(), indent=1, sort_keys=True) + "\n"


PAGES = {
    "metrics.md": metrics_page,
    "config.md": config_page,
    "config.schema.json": config_schema,
    "../docker/grafana/clusters.json": grafana_board,
}
"""By its path from the folder of the documentation: what makes it."""


def main() -> int:
    """Write the pages, or say which have drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    drifted = []
    for name, page in PAGES.items():
        file = options.folder / name
        text = page()
        if options.check and (not file.exists() or file.read_text(encoding="utf-8") != text):
            drifted.append(str(file))
        elif not options.check:
            file.write_text(text, encoding="utf-8")
    if drifted:
        sys.stderr.write(f"out of date: {', '.join(drifted)}; run `make docs`\n")
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main())
