"""Values, names and bytes that nobody means."""

import random
import string
from datetime import date
from typing import Any

HUGE: list[Any] = [
    10**20, -(10**20), 10**400, 2**63, 2**31, -1, 0, 1e308, -1e308, 1e-320,
    float("inf"), float("-inf"), float("nan"), "9" * 400, "0x" + "f" * 5000,
]  # fmt: skip

DURATIONS = ["99999999999d", "9" * 400 + "d", "-1s", "1", "0s", "1e9d", "1.5.5s", "∞", "1ms"]

TEXTS = [
    "", " ", ".", "..", "../..", "/", "//", "a/b", "a:b", "~", "$", "${", "${X", "${X:-}", "${}",
    "\0", "\x1b[31mred\x1b[0m", "\r", "\n", "a\r\nb", "\ud800", "\ufeff", "\u202e", "\u2028",
    "x" * 240, "x" * 100_000, "集" * 60, "%2e%2e", "%00", "CON", "-rf", "--help", "*", "?", "[", "(",
    "null", "yes", "0123", "1:30:00", "2026-02-30", "!!python/object:os.system x", "&a *a", "`id`",
    "json:loads", "os:environ", "builtins:print", ":", "no.such:thing", "json:", "tests.attack",
    "s3://K:S@b/p?endpoint_override=127.0.0.1:1&scheme=http", "file:///etc", "ftp://x", "s3://",
    "localhost:1", "[::1]:1", "127.0.0.1:99999", "http://", "https://user:pass@127.0.0.1:1", "0:0",
    "now", "-6h", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "Europe/Berlin", "auto",
]  # fmt: skip

NESTED: list[Any] = [
    {}, [], [[]], {"": ""}, {"a": {"a": {"a": {}}}}, [None], [{}], {"kind": {"a": 1}}, {1: 2},
    {"kind": ["sine"]}, {"use": "json:loads"}, [1, "a", None, {"b": []}], {"of": {"of": {"of": 1}}},
]  # fmt: skip

OTHERS: list[Any] = [None, True, False, date(2026, 1, 1), b"bytes", 1.5, 3]


def value(chance: random.Random) -> Any:
    """Any of these."""
    kinds: list[list[Any]] = [HUGE, [*DURATIONS], [*TEXTS], NESTED, OTHERS]
    return chance.choice(chance.choice(kinds))


def name(chance: random.Random) -> str:
    """A name: one of those above, or one that is put together."""
    if chance.random() < 0.4:
        return chance.choice(TEXTS)
    alphabet = chance.choice(
        [
            string.ascii_letters,
            string.printable,
            "a/:.-_",
            "集é😀\u0301ß",
            "\x00\x1b\r\n\t\x7f\x9b",
            ".%",
        ]
    )
    length = chance.choice([1, 2, 5, 20, 60, 190, 191, 240, 249, 250])
    return "".join(chance.choice(alphabet) for _ in range(length))


def damage(data: bytes, chance: random.Random) -> bytes:
    """Some bytes of a file changed, cut or added."""
    how = chance.randrange(7)
    if how == 0:
        return b""
    if how == 1:
        return data[: chance.randrange(len(data) + 1)]
    if how == 2:
        return data + chance.randbytes(chance.choice([1, 7, 4096]))
    if how == 3:
        return bytes(len(data))
    if how == 4:
        return chance.choice([b"null", b"[]", b"{}", b'"x"', b"\xff\xfe", b"{", b"0", b'{"a": 1}'])
    changed = bytearray(data or b"\0")
    for _ in range(chance.choice([1, 1, 3, 100])):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    if how == 5:
        start = chance.randrange(len(changed))
        del changed[start : start + chance.choice([1, 8, 512])]
    return bytes(changed)
