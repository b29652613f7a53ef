"""From a YAML file to a validated `Config`, or to its faults: those of single values all at once, else misfits.

A fault says where it is (file, line, path), what is wrong, and the nearest right name.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from flows.errors import ConfigError, Fault
from operators.schema.kafka import BOOTSTRAP_SERVERS
from operators.schema.nearest import did_you_mean
from operators.schema.secrets import (
    HIDDEN,
    IS_SECRET,
    looks_like_key,
    shown,
    without_secrets,
)
from operators.schema.settings import KeyPath, MisfitError
from operators.schema.units import mebibytes

M = TypeVar("M", bound=BaseModel)

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_HIDDEN = re.compile(f"{IS_SECRET.pattern}|client", re.IGNORECASE)
"""Paths whose values are not repeated in messages: any property of a client may be a secret."""

_OF_KEYS = ("model_type", "dict_type", "model_attributes_type")

_MOST_BITS = 4_096
"""Bits of a number that is one; Python refuses to write out much longer ones."""

_MOST_BYTES = 16 << 20
"""Bytes of a configuration's file: what is larger is another file, or never ends."""

_MOST_REPEATED = 100_000
"""Values that aliases may repeat; aliases within aliases make any number of a few lines."""

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

_TOPIC = "must be 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`"

FORMS = {
    r"^[^:/\s]+$": "must be without `/`, `:` and blanks",
    r"^[^:/]+$": "must be without `/` and `:`",
    r"^[^:]+$": "must be without `:`",
    r"^/": "must begin with `/`",
    r"^[a-zA-Z0-9._-]{1,249}$": _TOPIC,
    r"^[A-Za-z0-9._-]{1,249}$": _TOPIC,
    BOOTSTRAP_SERVERS: "must be `host:port`, with commas between several",
}
"""What a text must be, by the pattern that it does not match."""


def load(model: type[M], file: Path, environment: Mapping[str, str] = os.environ) -> M:
    """Read, fill in `${VAR}` and validate a configuration file.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or does not fit the model.
    """
    try:
        with file.open("rb") as source:
            content = source.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        message = f"cannot be read: {reason}"
        if isinstance(error, FileNotFoundError):
            message += f"; `mqpipe init {file}` writes one to start from"
        raise ConfigError(str(file), [Fault("", 0, message)]) from error
    if len(content) > _MOST_BYTES:
        message = f"is of more than {mebibytes(_MOST_BYTES):.0f} MiB, which no configuration is"
        raise ConfigError(str(file), [Fault("", 0, message)])
    return parse(model, text, str(file), environment)


def parse(model: type[M], text: str, source: str, environment: Mapping[str, str] = os.environ) -> M:
    """Validate a configuration's text; `source` names it in messages.

    Raises:
        ConfigError: see `load`.
    """
    reading = _YamlReading(environment)
    faults, lines = reading.faults, reading.lines
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        written = None if root is None else reading.value(root, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(source, [Fault("", line, f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError(source, [Fault("", 0, f"not YAML: {error}")]) from error
    except RecursionError:
        message = "what an anchor stands for holds itself, or is nested too deeply to be read"
        raise ConfigError(source, [Fault("", 0, message)]) from None
    except _TooManyError as error:
        raise ConfigError(source, [Fault("", error.line, str(error))]) from None
    try:
        config = model.model_validate({} if written is None else written)
    except ValidationError as error:
        if written is None:
            message = "is empty: `mqpipe init` writes a configuration to start from"
            raise ConfigError(source, [Fault("", 0, message)]) from None
        # A variable that is not set is wrong for that alone.
        reported = {fault.path for fault in faults}
        faults += [fault for fault in _faults(model, error, lines) if fault.path not in reported]
        raise reading.error(source, sorted(faults, key=lambda fault: fault.line)) from None
    except UnicodeEncodeError:
        # Half a character where one of a few words is asked for: it is among the faults.
        raise reading.error(source, faults) from None
    except RecursionError:
        message = "it is nested too deeply to be read"
        raise ConfigError(source, [Fault("", 0, message)]) from None
    if faults:
        raise reading.error(source, faults)
    return config


class _TooManyError(Exception):
    """A configuration has more values than anyone writes."""

    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(
            f"aliases (*name) repeat more than {_MOST_REPEATED:,} values: those of what holds aliases "
            "itself are multiplied; write out what is meant"
        )


class _YamlReading:
    """From YAML's nodes to values: variables are filled in, and each key's line is noted.

    `secrets` are texts that no message may repeat.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.faults: list[Fault] = []
        self.secrets: set[str] = set()
        self._environment = environment
        self._seen: set[int] = set()
        self._repeated = 0

    def value(self, node: yaml.Node, path: KeyPath, secret: bool = False) -> Any:
        """A node's value; `secret` where a key above says that it is.

        Raises:
            _TooManyError: see there.
        """
        line = node.start_mark.line + 1
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        if self._repeated > _MOST_REPEATED:
            raise _TooManyError(line)
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, secret)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, n), secret) for n, item in enumerate(node.value)]
        value = self._scalar(node, path, line)
        if isinstance(value, str):
            if secret or looks_like_key(value):
                self.secrets.add(value)
            if (what := _unfit(value)) is not None:
                self.faults.append(Fault(_dotted(path), line, f"holds {what}, which no text has"))
        return value

    def error(self, source: str, faults: Sequence[Fault]) -> ConfigError:
        """The faults, with nothing secret in their words."""
        return ConfigError(
            source,
            [
                Fault(
                    without_secrets(f.path, self.secrets),
                    f.line,
                    _cut(without_secrets(f.message, self.secrets)),
                )
                for f in faults
            ],
        )

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, secret: bool) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                message = "a key is a word, not a list or a mapping"
                self.faults.append(Fault(_dotted(path), line, message))
                continue
            key = _constructed(key_node)
            here = (*path, key)
            if looks_like_key(str(key)):
                self.secrets.add(str(key))
            if key in mapping:
                message = f"written twice (also line {self.lines[here]})"
                self.faults.append(Fault(_dotted(here), line, message))
            self.lines[here] = line
            named = IS_SECRET.search(str(key)) is not None and not str(key).endswith("_file")
            mapping[key] = self.value(value_node, here, secret or named)
        return mapping

    def _scalar(self, node: yaml.Node, path: KeyPath, line: int) -> Any:
        if not isinstance(node.value, str) or "$" not in node.value:
            return _constructed(node)
        text = self._filled_in(node.value, path, line)
        # A plain ${PORT} is read like what stands for it would be; a quoted one is text.
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return _plain(text) if plain and text != node.value else text

    def _filled_in(self, text: str, path: KeyPath, line: int) -> str:
        def value_of(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if name is None:
                return "$"
            if name in self._environment:
                value = self._environment[name]
                if IS_SECRET.search(name):
                    self.secrets.add(value)
                return value
            if default is None:
                message = (
                    f"environment variable `{name}` is not set; set it or write ${{{name}:-…}}"
                )
                self.faults.append(Fault(_dotted(path), line, message))
                return f"<{name}>"
            return str(default)

        return _VARIABLE.sub(value_of, text)


def _cut(message: str) -> str:
    """A message of a bounded length, whatever was given: its beginning, and the hint at its end."""
    return message if len(message) <= 1_500 else f"{message[:700]} … {message[-700:]}"


def _unfit(text: str) -> str | None:
    """What a text holds that neither a file's name nor a message to others can hold."""
    if "\0" in text:
        return "a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "half a character (a lone surrogate, or bytes that are not UTF-8)"
    return None


@cache
def _loader() -> yaml.SafeLoader:
    """What knows the types of scalars; it is handed no document."""
    return yaml.SafeLoader("")


def _constructed(node: yaml.Node) -> Any:
    """The value of a scalar; its text where it looks like a date or number and is none."""
    try:
        value = _loader().construct_object(node)
    except (ValueError, OverflowError):
        return node.value
    finally:
        _loader().constructed_objects.clear()  # else it keeps them for ever
        _loader().recursive_objects.clear()
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return node.value
    return value


def _plain(text: str) -> Any:
    """What a variable's text is, unquoted: a word, a number, true, null, never more than that.

    A number that would be written otherwise is text: 0123 is a password, not 83.
    """
    resolve = _loader().resolve
    tag = resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    value = _constructed(yaml.ScalarNode(tag, text))
    return text if type(value) in (int, float) and str(value) != text else value


def _faults(
    model: type[BaseModel], error: ValidationError, lines: Mapping[KeyPath, int]
) -> Iterator[Fault]:
    by_path: dict[KeyPath, list[Mapping[str, Any]]] = {}
    for item in _single(error):
        path = _written(item["loc"], lines, item["type"] == "missing")
        by_path.setdefault(path, []).append(item)
    for path, items in by_path.items():
        if _is_another_member(path, items, by_path):
            continue
        line = next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), 0)
        for message in dict.fromkeys(_messages(model, items, path)):
            yield Fault(_dotted(path), line, message)


def _written(loc: KeyPath, lines: Mapping[KeyPath, int], missing: bool) -> KeyPath:
    """Where something was written: Pydantic has the members of unions in its locations too."""
    path: KeyPath = ()
    for place, step in enumerate(loc, 1):
        if (*path, step) in lines or (missing and place == len(loc)):
            path = (*path, step)
    return path if path in lines or missing else loc


def _is_another_member(
    path: KeyPath, items: Sequence[Mapping[str, Any]], faults: Collection[KeyPath]
) -> bool:
    """Whether all that is wrong is the type, or that too few are right, and what is wrong below says more."""
    below = any(len(other) > len(path) and other[: len(path)] == path for other in faults)
    return below and all(item["type"] in (*_WANTED, "too_short") for item in items)


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
    """What is wrong at a path; the members of a union that it is not are said together.

    Where it is one of them, but out of its bounds, that alone is said.
    """
    near = [item for item in items if item["type"] not in (*_WANTED, "literal_error")]
    if near:
        yield from (_message(model, item, path) for item in near)
        return
    of_types = [item for item in items if item["type"] in _WANTED]
    if of_types:
        wanted = dict.fromkeys(_WANTED[item["type"]] for item in of_types)
        yield f"must be {' or '.join(wanted)}{_hint(model, of_types[0], path)}"
    yield from (_message(model, item, path) for item in items if item["type"] not in _WANTED)


def _hint(model: type[BaseModel], item: Mapping[str, Any], path: KeyPath) -> str:
    """What was given, or how it is written right."""
    given, names = item["input"], _names_at(model, path)
    if isinstance(given, bool) and item["type"] == "string_type":
        return ", and YAML takes yes, no, on and off for true and false: write it in quotes"
    if isinstance(given, str) and item["type"] in _OF_KEYS and names and path:
        return f", such as `{path[-1]}: {{{names[0]}: …}}`"
    return _given(item, path)


def _message(model: type[BaseModel], item: Mapping[str, Any], path: KeyPath) -> str:
    if item["type"] == "extra_forbidden":
        names = _names_at(model, path[:-1])
        if path[-1] in names:
            return "unknown key here; it goes with another provider or kind"
        known = f"known here: {', '.join(names)}"
        return f"unknown key; {did_you_mean(str(path[-1]), names) or known}"
    if item["type"] == "missing":
        return "is missing"
    if item["type"] == "too_short":
        return f"has {item['ctx']['actual_length']}, and needs {item['ctx']['min_length']} at least"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    if item["type"] == "string_pattern_mismatch" and item["ctx"]["pattern"] in FORMS:
        return FORMS[item["ctx"]["pattern"]] + _given(item, path)
    message = str(item["msg"])
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        question = did_you_mean(item["input"], re.findall("'([^']*)'", item["ctx"]["expected"]))
        hint = f"; {question}" if question else ""
        return message[:1].lower() + message[1:] + _given(item, path) + hint
    return message[:1].lower() + message[1:] + _given(item, path)


def _given(item: Mapping[str, Any], path: KeyPath) -> str:
    given = item["input"]
    if given is None or isinstance(given, dict | list) or _HIDDEN.search(_dotted(path)):
        return ""
    if isinstance(given, str) and item["type"] in _OF_KEYS:
        # What stands where keys were to come may be the value of one of them.
        return ""
    return f" (given: {shown(given)})"


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
        text += f"[{step}]" if isinstance(step, int) else f".{_key(step)}" if text else _key(step)
    return text


def _key(step: object) -> str:
    """A key as it may be shown: `license_key:123`, written without a space, has its value in it."""
    text = str(step)
    name, colon, _ = text.partition(":")
    if colon and IS_SECRET.search(name):
        return f"{name}:{HIDDEN}"
    if looks_like_key(text):
        return HIDDEN
    return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}…"


_LONGEST_KEY = 100
"""Characters of a key that a path repeats."""
