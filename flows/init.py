"""`mqpipe init`: a commented configuration to start from."""

import shlex
from pathlib import Path

from flows.templates import COMMENTED, template
from flows.visible import say


def init(file: Path) -> int:
    """Write the commented configuration; 1 where the file exists or cannot be written."""
    return write_new(file, template(COMMENTED))


def write_new(file: Path, text: str) -> int:
    """Write a configuration and say what comes next; 1 where the file exists or cannot be made."""
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        say(f"mqpipe: {file} exists; name another file, or remove it first", err=True)
        return 1
    except OSError as error:
        say(f"mqpipe: {file}: cannot be written: {error.strerror}; name another file", err=True)
        return 1
    quoted = shlex.quote(str(file))
    say(f"wrote {file}; next: mqpipe check {quoted}, then mqpipe run {quoted}")
    return 0
