"""Reference pages made from the code, so that they cannot drift: `python -m flows.reference docs`.

With `--check` nothing is written, and the exit code is 1 where a page is not what it should be.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from flows.config import Config
from operators.schema.arrow import COMMON
from operators.schema.metrics import ENTITY_TYPES, STRING


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
    for entity in ENTITY_TYPES:
        lines += [
            "",
            f"## {entity.name}",
            "",
            f"Parquet: `type={entity.label}`. New Relic event: `{entity.event_type}`.",
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


def _type(type_: object) -> str:
    return "string (dictionary)" if type_ == STRING else str(type_)


def config_page() -> str:
    """docs/config.md: every key, from the models that validate the configuration."""
    lines = [
        "# Configuration",
        "",
        "Made from the models that validate it. YAML; an unknown key is refused with its path, its",
        "line and the nearest right name. `${VAR}` and `${VAR:-default}` come from the environment.",
        "Durations are written `250ms`, `30s`, `10m`, `24h`, `30d`; sizes `512MiB`, `2GiB`, `1GB`.",
        "A JSON Schema for editors lies in [config.schema.json](config.schema.json).",
        "",
        "| key | default | meaning |",
        "|---|---|---|",
        *_keys(Config, ""),
    ]
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner, many = _inner_model(field.annotation)
        path = f"{prefix}{field.alias or name}{'[]' if many else ''}"
        yield f"| `{path}` | {_default(field)} | {field.description or ''} |"
        if inner is not None:
            yield from _keys(inner, f"{path}.")


def _inner_model(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        inner, many = _inner_model(argument)
        if inner is not None:
            return inner, many or getattr(annotation, "__origin__", None) in (tuple, list)
    return None, False


def _default(field: Any) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel) or default is None or default in ((), {}, []):
        return ""
    return f"`{json.dumps(default, default=str)}`"


def config_schema() -> str:
    """docs/config.schema.json: the JSON Schema of a configuration."""
    return json.dumps(Config.model_json_schema(), indent=1, sort_keys=True) + "\n"


PAGES = {
    "metrics.md": metrics_page,
    "config.md": config_page,
    "config.schema.json": config_schema,
}


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
