"""Lines of Prometheus's text formats, made by Arrow from whole columns."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.metrics import STRING


def labels_of(columns: Mapping[str, pa.Array]) -> pa.Array:
    """`name="value",…` in each row, escaped; a null is a label without a value, which is none."""
    parts: list[pa.Array | str] = []
    for name, column in columns.items():
        parts += [f'{"," if parts else ""}{name}="', _text(column), '"']
    return pc.binary_join_element_wise(*map(_large, parts), _large(""))


def last_rows(labels: pa.Array, order: pa.Array | None = None) -> pa.Array:
    """Places of each label set's last row: the one of the latest in `order`, then of the last to come."""
    codes = labels.dictionary_encode().indices.to_numpy()
    if order is None:
        rows = np.arange(len(codes))
    else:
        rows = np.argsort(order.cast(pa.int64()).to_numpy(), kind="stable")
    backwards = rows[::-1]
    _, first = np.unique(codes[backwards], return_index=True)
    return pa.array(np.sort(backwards[first]))


def lines(name: str, labels: pa.Array, values: pa.Array, divisor: float = 1.0) -> bytes:
    """`name{labels} value` for each row that has a finite value."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if pa.types.is_floating(values.type) and values.null_count < len(values):
        values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
    if divisor != 1.0:
        # What is below 0 stands for something else: -1 for no bound.
        values = values.cast(pa.float64())
        values = pc.if_else(pc.less(values, 0.0), values, pc.divide(values, divisor))
    if values.null_count:
        there = values.is_valid()
        labels, values = labels.filter(there), values.filter(there)
    if not len(values):
        return b""
    text = values.cast(pa.large_string())
    return _joined(
        pc.binary_join_element_wise(
            _large(f"{name}{{"), labels, _large("} "), text, _large("\n"), _large("")
        )
    )


def head(name: str, kind: str, help_: str, unit: str | None, *, openmetrics: bool) -> bytes:
    """The lines before a family's samples."""
    help_ = help_.replace("\\", "\\\\").replace("\n", "\\n")
    if openmetrics:
        help_ = help_.replace('"', '\\"')
        units = f"# UNIT {name} {unit}\n" if unit else ""
        return f"# HELP {name} {help_}\n# TYPE {name} {kind}\n{units}".encode()
    if kind == "info":  # which the older format does not know
        name, kind = f"{name}_info", "gauge"
    return f"# HELP {name} {help_}\n# TYPE {name} {kind}\n".encode()


def _large(text: "pa.Array | str") -> "pa.Array | pa.Scalar":
    return pa.scalar(text, pa.large_string()) if isinstance(text, str) else text


def _text(column: pa.Array) -> pa.Array:
    """A column as the text of a label, which for a null is empty."""
    if column.type == STRING:
        words = _escaped(column.dictionary.cast(pa.large_string()))
        column = words.take(column.indices)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _escaped(column.cast(pa.large_string()))
    else:
        column = column.cast(pa.large_string())
    return column.fill_null("") if column.null_count else column


def _escaped(words: pa.Array) -> pa.Array:
    for raw, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        words = pc.replace_substring(words, raw, written)
    return words


def _joined(strings: pa.Array) -> bytes:
    """All strings one after another, which is how Arrow has them in memory."""
    offsets = np.frombuffer(strings.buffers()[1], np.int64)[strings.offset :]
    begin, end = int(offsets[0]), int(offsets[len(strings)])
    text: bytes = strings.buffers()[2].slice(begin, end - begin).to_pybytes()
    return text
