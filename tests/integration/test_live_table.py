"""The live table on a real terminal (a pty): keys, the last frame, and the terminal as it was."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.forked import SCRIPT

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A terminal of 100 columns and 40 lines, in whose foreground a process runs."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.found = self.settings
        self.text = ""
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**os.environ, "TERM": "xterm"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self._slave)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait_for(self, words: str) -> None:
        """Read until these words come, from here on."""
        seen, until = "", time.monotonic() + 60
        while words not in seen:
            assert time.monotonic() < until, f"no `{words}` in:\n{self.text[-4000:]}"
            seen += self._read()

    def end(self) -> int:
        """Read until the process has ended."""
        until = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < until, self.text[-4000:]
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self._slave)

    def _read(self) -> str:
        if not select.select([self.master], [], [], 0.2)[0]:
            return ""
        part = _COLOURS.sub("", os.read(self.master, 65536).decode(errors="replace"))
        self.text += part
        return part


@contextmanager
def terminal(folder: Path, *command: str) -> Iterator[Terminal]:
    there = Terminal(folder, *command)
    try:
        yield there
    finally:
        there.close()


def test_keys_and_the_last_frame(tmp_path: Path) -> None:
    """Filter, pause, Ctrl-Z; at SIGTERM the last frame shows all, and the terminal is as before."""
    (tmp_path / "c.yaml").write_text(
        "mode: simulation\ninterval: 1s\nsimulation: {fleets: [{name: sim}]}\n"
        "sinks: {parquet: {path: samples}}\nmetrics: {listen: null}\nrecovery: {epoch: 1s}\n"
    )
    with terminal(tmp_path, str(SCRIPT), "run", "c.yaml") as there:
        there.wait_for("groups by lag")
        assert there.settings != there.found
        there.type("/billing")
        there.wait_for("names with billing")
        there.type("\rs")
        there.wait_for("groups by behind with billing")
        # Nobody is there to take the terminal, so that it goes on at once.
        there.type("\x1a")
        there.wait_for("groups by behind with billing")
        there.type("p")
        there.wait_for("paused")
        there.process.send_signal(signal.SIGTERM)
        assert there.end() == 0
        assert there.settings == there.found
        last = there.text[there.text.rindex("mqpipe run") :]
        assert "ended" in last.splitlines()[0]
        assert "paused" not in last
        assert "timestamp" not in last
        parquet = next(line for line in last.splitlines() if line.startswith("parquet")).split()
        assert parquet[2] == parquet[3], "accepted and in files"


def test_a_process_that_is_forced_to_end_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    """It ends where it stands, by `os._exit`."""
    script = (
        "import os, threading\n"
        "from flows.observe.keys import keys_read\n"
        "from flows.standard_streams import drain_all\n"
        "typed = threading.Event()\n"
        "with keys_read(lambda key: typed.set()):\n"
        "    print('ready', flush=True)\n"
        "    typed.wait(60)\n"
        "    drain_all()\n"
        "    os._exit(1)\n"
    )
    with terminal(Path.cwd(), sys.executable, "-c", script) as there:
        there.wait_for("ready")
        there.type("x")
        assert there.end() == 1
        assert there.settings == there.found
