"""Processes of mqpipe forked from one that has imported what it needs: that is most of what a start costs.

A process that is forked runs the same code with arguments, environment, folder and streams of its
own, and is a child of the tests' process as any other: it is awaited, and killed, as such.
Tests of the start itself, and of anything that a new interpreter would do otherwise, start the
console script.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRIPT = Path(sys.executable).with_name("mqpipe")

PREPARED = (
    "aiohttp",
    "bytewax.operators",
    "bytewax.recovery",
    "bytewax.run",
    "bytewax.testing",
    "confluent_kafka.admin",
    "kafka",
    "pyarrow.compute",
    "pyarrow.parquet",
    "flows.check",
    "flows.cli",
    "flows.collection",
    "flows.export",
    "flows.redeliver",
    "flows.replay",
    "flows.run",
    "sinks.deltalake.rolled",
    "sinks.deltalake.tables",
    "sinks.kafka.sink",
    "sinks.newrelic.sink",
    "sinks.otlp.sink",
    "sinks.parquet.sink",
)
"""What is imported before: nothing that starts threads (Polars does, and the library of Delta)."""

IMPORTED_BY = ("OPENBLAS_NUM_THREADS", "1"), ("PYDANTIC_DISABLE_PLUGINS", "__all__")
"""The environment in which `flows.__main__` imports."""

MQPIPE = "flows"
"""The module that stands for the console script."""

GREATEST = 1 << 20
"""Bytes of an order, at most."""
_PR_SET_CHILD_SUBREAPER = 36


class Forked(subprocess.Popen[str]):
    """`python -m MODULE ARGUMENTS`, or the console script, forked from a process that is prepared."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        loaded_with: Mapping[str, str] | None = None,
        **streams: Any,
    ) -> None:
        self._loaded_with = tuple((loaded_with or {}).items())
        command = [sys.executable, "-m", module, *arguments]
        super().__init__(command, cwd=folder, env=environment, text=True, **streams)

    def _execute_child(self, args: list[str], *given: Any) -> None:
        """In place of fork and exec: has the prepared process fork; `given` is what Popen hands on."""
        folder, environment, pipes = given[4], given[5], given[9:15]
        order = {"command": args, "folder": str(folder), "environment": dict(environment)}
        of_child = [fd if fd != -1 else own for own, fd in enumerate((pipes[0], *pipes[3::2]))]
        self.pid = prepared(self._loaded_with).fork(order, of_child)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


class Prepared:
    """The process that forks; it ends with this one.

    What the dynamic linker is to load is in its own environment, for it does so once: `loaded_with`.
    """

    def __init__(self, loaded_with: Sequence[tuple[str, str]] = ()) -> None:
        # What is forked twice would be adopted by the system's first process.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._one_at_a_time = threading.Lock()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            os.set_inheritable(theirs.fileno(), True)
            code = f"import sys; sys.path[0] = {str(ROOT)!r}; from tests.forked import main; main()"
            command = [sys.executable, "-c", code, str(theirs.fileno())]
            os.posix_spawn(
                sys.executable, command, {**os.environ, **dict((*IMPORTED_BY, *loaded_with))}
            )

    def fork(self, order: Mapping[str, Any], streams: Sequence[int]) -> int:
        """The number of a new process that does as ordered, with these three standard streams."""
        with self._one_at_a_time:
            socket.send_fds(self._orders, [json.dumps(order).encode()], streams)
            number = self._orders.recv(GREATEST)
        if not number:
            raise ChildProcessError("the process that forks has ended; standard error says why")
        return int(number)


prepared = cache(Prepared)
"""The one of this process, made where it is first asked for."""


def _serve(orders: socket.socket) -> dict[str, Any] | None:
    """Forks for each order; in a process that is forked: its order. None at the end."""
    while True:
        text, descriptors, _, _ = socket.recv_fds(orders, GREATEST, 3)
        if not text:
            return None
        answer, write_end = os.pipe()
        # Twice: whose parent has ended is a child of the tests' process.
        if (between := os.fork()) == 0:
            if (child := os.fork()) != 0:
                os.write(write_end, str(child).encode())
                os._exit(0)
            orders.close()
            os.close(answer)
            os.close(write_end)
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            order: dict[str, Any] = json.loads(text)
            return order
        for descriptor in (*descriptors, write_end):
            os.close(descriptor)
        os.waitpid(between, 0)
        with open(answer, "rb") as pipe:  # noqa: PTH123 - a descriptor
            orders.send(pipe.read())


def _become(order: Mapping[str, Any]) -> None:
    """Run what was ordered as a new interpreter would."""
    python, _, module, *arguments = order["command"]
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    importlib.invalidate_caches()
    streams = {
        "stdin": open(0, closefd=False),  # noqa: SIM115
        "stdout": open(1, "w", closefd=False),  # noqa: SIM115
        "stderr": open(2, "w", buffering=1, errors="backslashreplace", closefd=False),  # noqa: SIM115
    }
    for name, stream in streams.items():
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if module == MQPIPE:
        sys.path[0] = str(SCRIPT.parent)
        sys.argv = [str(SCRIPT), *arguments]
        sys.orig_argv = [python, *sys.argv]
        importlib.import_module("flows.__main__").main()
    else:
        sys.argv = [module, *arguments]
        gc.enable()
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Import what is needed, and fork until the other end is closed."""
    gc.disable()
    # Of the threads that allocators keep none is of Python's.
    warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
    from flows import loading, templates
    from flows.config import Config

    for module in PREPARED:
        importlib.import_module(module)
    # What is imported prepares no settings: those of a configuration are, as it is read.
    text = templates.template(templates.OF_SERVERS)
    loading.parse(Config, text.format(name="some", servers="some:9092"), "the template")
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        order = _serve(orders)
    if order is not None:
        _become(order)


if __name__ == "__main__":
    main()
