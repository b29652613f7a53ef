"""From a YAML file to a validated `Config`, or to all its faults at once.

A fault says where it is (file, line, path), what is wrong, and the nearest right name.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from flows.errors import ConfigError, Fault
from operators.schema.settings import KeyPath, MisfitError

M = TypeVar("M", bound=BaseModel)

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_SECRET = re.compile(r"key|password|secret|token|client", re.IGNORECASE)
"""Paths whose values are not repeated in messages."""

_WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "keys with values",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "keys with values",
    "path_type": "a path",
    "string_type": "text",
    "tuple_type": "a list",
}
"""What a value must be, by the type of Pydantic's error."""


def load(model: type[M], file: Path, environment: Mapping[str, str] = os.environ) -> M:
    """Read, fill in `${VAR}` and validate a configuration file.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or does not fit the model.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        message = f"cannot be read: {reason}"
        if isinstance(error, FileNotFoundError):
            message += f"; `mqpipe init {file}` writes one to start from"
        raise ConfigError(str(file), [Fault("", 0, message)]) from error
    return parse(model, text, str(file), environment)


def parse(model: type[M], text: str, source: str, environment: Mapping[str, str] = os.environ) -> M:
    """Validate a configuration's text; `source` names it in messages.

    Raises:
        ConfigError: see `load`.
    """
    faults: list[Fault] = []
    lines: dict[KeyPath, int] = {}
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = {} if root is None else _value(root, (), lines, faults, environment)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(source, [Fault("", line, f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError(source, [Fault("", 0, f"not YAML: {error}")]) from error
    except RecursionError:
        message = "what an anchor stands for holds itself"
        raise ConfigError(source, [Fault("", 0, message)]) from None
    try:
        config = model.model_validate(value)
    except ValidationError as error:
        # A variable that is not set is wrong for that alone.
        told = {fault.path for fault in faults}
        faults += [fault for fault in _faults(model, error, lines) if fault.path not in told]
        raise ConfigError(source, sorted(faults, key=lambda fault: fault.line)) from None
    if faults:
        raise ConfigError(source, faults)
    return config


def _value(
    node: yaml.Node,
    path: KeyPath,
    lines: dict[KeyPath, int],
    faults: list[Fault],
    environment: Mapping[str, str],
) -> Any:
    """A node's value with variables filled in, noting each key's line on the way."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                faults.append(
                    Fault(_dotted(path), line, "a key is a word, not a list or a mapping")
                )
                continue
            key = _constructed(key_node)
            here = (*path, key)
            if key in mapping:
                first = lines[here]
                faults.append(Fault(_dotted(here), line, f"written twice (also line {first})"))
            lines[here] = line
            mapping[key] = _value(value_node, here, lines, faults, environment)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(item, (*path, index), lines, faults, environment)
            for index, item in enumerate(node.value)
        ]
    if isinstance(node.value, str) and "$" in node.value:
        line = node.start_mark.line + 1
        text = _fill_in(node.value, _dotted(path), line, faults, environment)
        # A plain ${PORT} is read like what stands for it would be; a quoted one is text.
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return _plain(text) if plain and text != node.value else text
    return _constructed(node)


def _constructed(node: yaml.Node) -> Any:
    """The value of a scalar; its text where it looks like a date and is none, for example."""
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:
        return node.value


def _plain(text: str) -> Any:
    """What a variable's text is, unquoted: a word, a number, true, null, never more than that.

    A number that would be written otherwise is text: 0123 is a password, not 83.
    """
    resolve = yaml.SafeLoader("").resolve
    tag = resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    value = _constructed(yaml.ScalarNode(tag, text))
    return text if type(value) in (int, float) and str(value) != text else value


def _fill_in(
    text: str, path: str, line: int, faults: list[Fault], environment: Mapping[str, str]
) -> str:
    def value_of(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if name is None:
            return "$"
        if name in environment:
            return environment[name]
        if default is None:
            message = f"environment variable `{name}` is not set; set it or write ${{{name}:-…}}"
            faults.append(Fault(path, line, message))
            return f"<{name}>"
        return str(default)

    return _VARIABLE.sub(value_of, text)


def _faults(
    model: type[BaseModel], error: ValidationError, lines: Mapping[KeyPath, int]
) -> Iterator[Fault]:
    by_path: dict[KeyPath, list[Mapping[str, Any]]] = {}
    for item in _single(error):
        path: KeyPath = item["loc"]
        # Pydantic appends the member of a union to the location: cut back to what was written.
        while path and path not in lines and path[:-1] in lines and item["type"] != "missing":
            path = path[:-1]
        by_path.setdefault(path, []).append(item)
    for path, items in by_path.items():
        line = next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), 0)
        for message in dict.fromkeys(_messages(model, items, path)):
            yield Fault(_dotted(path), line, message)


def _single(error: ValidationError) -> Iterator[Mapping[str, Any]]:
    """Pydantic's errors; things that do not fit together each by itself, where it stands."""
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, MisfitError):
            for path, message in cause.misfits:
                yield {**item, "loc": (*item["loc"], *path), "ctx": {"error": message}}
        else:
            yield item


def _messages(
    model: type[BaseModel], items: Sequence[Mapping[str, Any]], path: KeyPath
) -> Iterator[str]:
    """What is wrong at a path; the members of a union that it is not are said together."""
    of_types = [item for item in items if item["type"] in _WANTED]
    if of_types:
        wanted = dict.fromkeys(_WANTED[item["type"]] for item in of_types)
        yield f"must be {' or '.join(wanted)}{_given(of_types[0], path)}"
    yield from (_message(model, item, path) for item in items if item["type"] not in _WANTED)


def _message(model: type[BaseModel], item: Mapping[str, Any], path: KeyPath) -> str:
    if item["type"] == "extra_forbidden":
        names = _names_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), names, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(names)}"
        return f"unknown key; {hint}"
    if item["type"] == "missing":
        return "is missing"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    message = str(item["msg"])
    return message[:1].lower() + message[1:] + _given(item, path)


def _given(item: Mapping[str, Any], path: KeyPath) -> str:
    given = item["input"]
    hidden = given is None or isinstance(given, dict | list) or _SECRET.search(_dotted(path))
    return "" if hidden else f" (given: {given!r})"


def _names_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that are known at a path, found by walking the models' annotations."""
    models = [model]
    for step in path:
        if isinstance(step, int):
            continue
        models = [
            inner
            for outer in models
            for name, field in outer.model_fields.items()
            if step in (name, field.alias)
            for inner in _models_in(field.annotation)
        ]
    return [field.alias or name for m in models for name, field in m.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _dotted(path: KeyPath) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
