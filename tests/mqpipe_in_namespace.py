"""mqpipe in a network namespace, where a peer that is silent for a moment is taken for gone.

`python -m tests.mqpipe_in_namespace NAME ARGUMENTS…`, forked as the others are: what
`ip netns exec NAME mqpipe ARGUMENTS…` does, without a new interpreter. The engine looks at the
network's silence with all it has, so that half a minute of it is a minute of work.
"""

import ctypes
import os
import sys
from functools import partial
from pathlib import Path

from flows import runtime
from flows.__main__ import main
from flows.peers import notice_silence

SILENCE = 3
"""Seconds."""

_NETWORK = 0x40000000


def enter(name: str) -> None:
    """Have this thread, and those that it starts, in a network namespace (setns(2)).

    Raises:
        OSError: there is none of that name, or no right to it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with (Path("/run/netns") / name).open("rb") as namespace:
        if libc.setns(namespace.fileno(), _NETWORK):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)


if __name__ == "__main__":
    enter(sys.argv.pop(1))
    vars(runtime)["notice_silence"] = partial(notice_silence, seconds=SILENCE)
    main()
