"""Columns of words as Arrow keeps them: each word once in a dictionary, into which rows point."""

import pyarrow as pa


def one_dictionary(table: pa.Table) -> pa.Table:
    """The table, with one dictionary a column, whichever its chunks had."""
    return table.unify_dictionaries()


def joined(one: pa.DictionaryArray, other: pa.DictionaryArray) -> pa.DictionaryArray:
    """Two columns below each other, with one dictionary."""
    if not len(other):
        return one
    chunks = pa.chunked_array([one, other]).unify_dictionaries()
    return pa.concat_arrays(chunks.chunks)


def only_used(column: pa.Array) -> pa.Array:
    """The column, its dictionary without the words that no row has."""
    if not pa.types.is_dictionary(column.type):
        return column
    return column.dictionary_decode().dictionary_encode()


def fitted(column: pa.Array) -> pa.Array:
    """The same, where the dictionary is longer than the rows: they are a part of a larger batch."""
    if not pa.types.is_dictionary(column.type) or len(column.dictionary) <= len(column):
        return column
    return only_used(column)
