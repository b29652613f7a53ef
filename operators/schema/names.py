"""Names that become parts of paths, held to what a file system takes of them."""

import unicodedata
from hashlib import sha256
from typing import Annotated, TypeAlias
from urllib.parse import quote

from pydantic import AfterValidator, Field, StringConstraints

NAME_BYTES = 190
"""Bytes that a cluster's name may take in a file's name, which has 255 at most.

The others are of the longest name around it: that of a Parquet file while it is written, its
run (20), sequence number, entity type and date.
"""


def file_part(name: str) -> str:
    """A name as it is written in a file's or folder's name: never a way to another folder."""
    written = quote(name, safe="")
    # Dots alone are no name of a file's own: they lead to its folder, or out of it.
    return written.replace(".", "%2E") if not written.strip(".") else written


def short_file_part(name: str) -> str:
    """The same, cut where it is too long for a file's name; no two names become one."""
    written = file_part(name)
    if len(written) <= NAME_BYTES:
        return written
    return f"{written[: NAME_BYTES - 17]}-{sha256(name.encode()).hexdigest()[:16]}"


def fits_a_file(name: str) -> str:
    """The name, where a file's name can hold it.

    Raises:
        ValueError: it cannot.
    """
    if name in (".", ".."):
        raise ValueError(f"`{name}` is a way to a folder, not a name")
    size = len(file_part(name))
    if size > NAME_BYTES:
        raise ValueError(
            f"a name becomes part of files' names, which takes {size:,} bytes here, and there is "
            f"room for {NAME_BYTES} (a letter beyond a-z takes 6 to 12 of them): shorten it"
        )
    return name


def _shown_as_it_is(name: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        raise ValueError("a name holds no control characters")
    return name


ClusterName: TypeAlias = Annotated[
    str,
    Field(description="the cluster's name; no `:` and no `/`"),
    StringConstraints(min_length=1, max_length=NAME_BYTES, pattern=r"^[^:/\s]+$"),
    AfterValidator(_shown_as_it_is),
    AfterValidator(fits_a_file),
]
"""The name of what is collected, which is part of files' names."""

FleetName: TypeAlias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_BYTES, pattern=r"^[^:/]+$"),
    AfterValidator(_shown_as_it_is),
    AfterValidator(fits_a_file),
]
"""The name of a fleet, which is part of files' names; spaces are let through."""
