"""A console script `mqpipe` for shells that tests start, whose work a forked process does.

The script hands its arguments, environment, folder and streams to the tests' process, which has
the prepared one fork; it passes signals on, and ends as the process that was forked does.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.forked import GREATEST, MQPIPE, prepared

_SCRIPT = """#!{python} -IS
import json, os, signal, socket, sys

command = [{python!r}, "-m", {module!r}, *sys.argv[1:]]
order = {{"command": command, "folder": os.getcwd(), "environment": dict(os.environ)}}
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
    asked.connect({address!r})
    socket.send_fds(asked, [json.dumps(order).encode()], [0, 1, 2])
    process = int(asked.recv(32))
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(process, number))
    code = int(asked.recv(32))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextmanager
def script_in(folder: Path) -> Iterator[Path]:
    """The script, in a folder that comes first in a shell's PATH, as long as the block runs."""
    prepared()  # Before there are streams of others, which it would inherit.
    address, script = folder / "asked", folder / "mqpipe"
    script.write_text(
        _SCRIPT.format(python=sys.executable, module=MQPIPE, address=str(address)), encoding="utf-8"
    )
    script.chmod(0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        listener.listen(64)
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        try:
            yield folder
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket) -> None:
    with suppress(OSError):  # It is shut.
        while True:
            asking, _ = listener.accept()
            threading.Thread(target=_answer, args=(asking,), daemon=True).start()


def _answer(asking: socket.socket) -> None:
    """Fork as asked, and say how it ended; a script that is gone takes its process with it."""
    with asking:
        text, streams, _, _ = socket.recv_fds(asking, GREATEST, 3)
        if not text:
            return
        process = prepared().fork(json.loads(text), streams)
        for stream in streams:
            os.close(stream)
        asking.send(str(process).encode())
        ends = os.pidfd_open(process)
        ready, _, _ = select.select([ends, asking.fileno()], [], [])
        os.close(ends)
        if ends not in ready:
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        with suppress(BrokenPipeError):
            asking.send(str(os.waitstatus_to_exitcode(status)).encode())
