"""JSON put together column by column with Arrow's string kernels: pieces of objects, and rows.

What is null has no piece, so that it is left out where pieces are joined.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.dictionaries import fitted

TEXT = pa.large_string()

Fragment: TypeAlias = pa.Array | str
"""A piece of JSON: one string a row, or one that is the same in all rows."""

_MAX_STRING = 4_096
"""The most characters that New Relic takes of a value."""
_CUT_MARK = "…"


def members(
    batch: pa.RecordBatch, columns: Iterable[tuple[str, str]], quoted: bool = False
) -> list[Fragment]:
    """`,"name":value` of each of these columns that is there; nothing where the value is null.

    `columns` are the columns' names and theirs in JSON. Long strings are cut and end in `…`.
    `quoted` writes numbers as strings.
    """
    strings: dict[str, pa.DictionaryArray] = {}
    others: dict[str, pa.Array] = {}
    known = set(batch.schema.names)
    for column, name in columns:
        if column not in known:
            continue
        values = batch.column(column)
        (strings if pa.types.is_dictionary(values.type) else others)[name] = values
    parts = _string_members(strings)
    quote = '"' if quoted else ""
    for name, values in zip(others, numbers(list(others.values())), strict=True):
        parts += fragment(f",{json.dumps(name)}:{quote}", values, quote)
    return parts


def numbers(columns: Sequence[pa.Array]) -> list[Fragment]:
    """Numbers as JSON; null where they are null or not finite. Times are integer milliseconds.

    Columns are written one after the other in a single call, for calls are what costs.
    """
    plain = [_plain(column) for column in columns]
    parts: list[Fragment | None] = [_constant(values) for values in plain]
    kinds = ((pa.types.is_floating, _doubles), (pa.types.is_integer, _integers))
    for is_kind, write in kinds:
        varying = [n for n, part in enumerate(parts) if part is None and is_kind(plain[n].type)]
        _write([plain[n] for n in varying], write, varying, parts)
    return [part for part in parts if part is not None]


def fragment(before: str, values: Fragment, after: str) -> list[Fragment]:
    """Values between two constants, as one nullable part, or as cheaper ones without nulls."""
    if never_null(values):
        return [before, values, after]
    nothing = not isinstance(values, str) and values.null_count == len(values)
    return [] if nothing else [joined([before, values, after])]


def never_null(part: Fragment) -> bool:
    """Whether the part is there in every row."""
    return isinstance(part, str) or part.null_count == 0


def rows_of(parts: Sequence[Fragment], rows: int) -> pa.LargeStringArray:
    """One string a row; null parts are left out, and one part at least is never null."""
    row = joined(parts, nulls="skip")
    return pa.repeat(pa.scalar(row, TEXT), rows) if isinstance(row, str) else row


def joined(
    parts: Sequence[Fragment],
    separator: str = "",
    nulls: Literal["skip", "emit_null"] = "emit_null",
) -> Fragment:
    """Parts put together, row by row; neighbours that are the same in all rows beforehand."""
    merged: list[Fragment] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += separator + part
        else:
            merged.append(part)
    if len(merged) == 1 and isinstance(merged[0], str):
        return merged[0]
    return _element_wise([*merged, separator], nulls)


def _element_wise(parts: Sequence[Fragment], nulls: str = "emit_null") -> pa.Array:
    """Parts put together row by row, one of them at least an array; the last one separates."""
    # Scalars that are Arrow's already cost a tenth of those that it makes of Python's.
    arguments = [pa.scalar(p, TEXT) if isinstance(p, str) else p for p in parts]
    return pc.binary_join_element_wise(*arguments, null_handling=nulls)


def _write(
    columns: Sequence[pa.Array],
    write: Callable[[pa.Array], pa.LargeStringArray],
    places: Sequence[int],
    parts: list[Fragment | None],
) -> None:
    """Write columns of one type as one, and put each of them into its place."""
    if not columns:
        return
    written, start = write(pa.concat_arrays(columns)), 0
    for place, column in zip(places, columns, strict=True):
        parts[place] = written.slice(start, len(column))
        start += len(column)


def _plain(values: pa.Array) -> pa.Array:
    """The values as 64-bit integers or doubles."""
    if pa.types.is_floating(values.type):
        return values
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    return values.cast(pa.int64())


def _constant(values: pa.Array) -> str | None:
    """The finite number that is in all rows, or None."""
    if len(values) == 0 or values.null_count:
        return None
    array = values.to_numpy()
    bits, first = array.view(np.int64), array[0].item()
    if bits[0] != bits[-1] or not (bits == bits[0]).all() or not math.isfinite(first):
        return None
    return json.dumps(first)


def _doubles(values: pa.Array) -> pa.LargeStringArray:
    finite = pc.is_finite(values)
    if not pc.all(finite).as_py():
        values = pc.if_else(finite, values, None)
    # Polars writes doubles three times as fast as Arrow, as exactly.
    # Half a second of a start: only those wait for it who send to New Relic.
    import polars as pl

    return pl.Series(values).cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest())


def _integers(values: pa.Array) -> pa.LargeStringArray:
    return values.cast(TEXT)


def _string_members(columns: Mapping[str, pa.DictionaryArray]) -> list[Fragment]:
    """Members of dictionary-encoded strings: put together a word, then spread over the rows.

    Columns that say the same of each row by other words (an entity's GUID, its name) are spread
    as one.
    """
    parts: list[Fragment] = []
    groups: list[tuple[pa.Array, pa.Array]] = []
    for name, values in columns.items():
        if values.null_count == len(values):
            continue
        values = fitted(values)
        indices, words = values.indices, _word_members(name, values.dictionary)
        if len(words) == 1 and values.null_count == 0:
            parts.append(words[0].as_py())
            continue
        for n, (others, theirs) in enumerate(groups):
            if len(theirs) == len(words) and indices.null_count == 0 and others.equals(indices):
                groups[n] = (others, _element_wise([theirs, words, ""]))
                break
        else:
            groups.append((indices, words))
    return parts + [words.take(indices) for indices, words in groups]


def _word_members(name: str, words: pa.StringArray) -> pa.LargeStringArray:
    key = f",{json.dumps(name)}:"
    if _needs_care(words):
        return pa.array([None if w is None else key + _quoted(w) for w in words.to_pylist()], TEXT)
    return _element_wise([f'{key}"', words.cast(TEXT), '"', ""])


def _needs_care(words: pa.StringArray) -> bool:
    lengths = pc.max(pc.utf8_length(words)).as_py() or 0
    escapes = pc.any(pc.match_substring_regex(words, r'["\\\x00-\x1f\x7f]')).as_py()
    return lengths > _MAX_STRING or bool(escapes)


def _quoted(word: str) -> str:
    if len(word) > _MAX_STRING:
        word = word[: _MAX_STRING - len(_CUT_MARK)] + _CUT_MARK
    return json.dumps(word, ensure_ascii=False)
