"""Those that read a cluster's figures, each in a process of its own: mqpipe's builds, and peers.

The peers are kminion and kafka_exporter, binaries of yours that a benchmark is given the paths of.
"""

import os
import subprocess
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.benchmarks.child_costs import ROOT, cpu_seconds, peak
from tests.ports import PortClaim

TICKING = Path(__file__).with_name("ticking_collector.py")


@dataclass(frozen=True, slots=True)
class Reader:
    """A process that reads a cluster's figures once each time that `read` is called."""

    name: str
    pid: int
    read: Callable[[], int]
    """Gives how much came: samples, or bytes of a page."""
    url: str | None = None
    """Its page, where it has one."""

    def cpu_seconds(self) -> float:
        """What it has used so far."""
        return cpu_seconds(self.pid)

    def peak_bytes(self) -> int:
        """The most memory that it had so far."""
        return peak(self.pid)


def add_options(parser: ArgumentParser) -> None:
    """Options that name other builds and peers."""
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="PATH",
        help="a worktree of another build with its .venv, measured in turn",
    )
    parser.add_argument(
        "--without-group-topics",
        action="store_true",
        help="this build without rows of a group and topic, measured in turn",
    )
    parser.add_argument(
        "--without-outlook",
        action="store_true",
        help="this build without what says whether groups will lose messages, measured in turn",
    )
    parser.add_argument("--kminion", type=Path, metavar="BINARY", help="measured in turn")
    parser.add_argument("--kafka-exporter", type=Path, metavar="BINARY", help="measured in turn")


@contextmanager
def peers(options: Namespace, servers: str) -> Iterator[list[Reader]]:
    """The peers that the options name, running.

    Raises:
        RuntimeError: one ended.
    """
    with ExitStack() as running:
        yield [
            running.enter_context(start(Path(binary), servers))
            for binary, start in (
                (options.kminion, kminion),
                (options.kafka_exporter, kafka_exporter),
            )
            if binary
        ]


@contextmanager
def builds(
    options: Namespace, servers: str, arguments: Sequence[str] = ()
) -> Iterator[list[Reader]]:
    """This build, and what the options name: collectors that tick when they are told."""
    named = [("mqpipe", ROOT, arguments)]
    if options.beside:
        named.append(("beside", options.beside, arguments))
    if options.without_group_topics:
        named.append(("without", ROOT, [*arguments, "--no-group-topics"]))
    if options.without_outlook:
        named.append(("no outlook", ROOT, [*arguments, "--no-outlook"]))
    with ExitStack() as running:
        yield [
            running.enter_context(_ticking(name, root.resolve(), servers, given))
            for name, root, given in named
        ]


@contextmanager
def kafka_exporter(binary: Path, servers: str) -> Iterator[Reader]:
    """danielqsj's kafka_exporter, of all groups."""
    with PortClaim() as claim:
        listen = f"127.0.0.1:{claim.port}"
        flags = [f"--kafka.server={server}" for server in servers.split(",")]
        flags += [f"--web.listen-address={listen}", "--offset.show-all"]
        with _serving("kafka_exporter", [str(binary), *flags], {}, claim.port) as reader:
            yield reader


@contextmanager
def kminion(binary: Path, servers: str) -> Iterator[Reader]:
    """kminion, groups by the admin API, without log directories."""
    with PortClaim() as claim:
        environment = {
            "KAFKA_BROKERS": servers,
            "EXPORTER_HOST": "127.0.0.1",
            "EXPORTER_PORT": str(claim.port),
            "MINION_CONSUMERGROUPS_SCRAPEMODE": "adminApi",
            "MINION_LOGDIRS_ENABLED": "false",
        }
        with _serving("kminion", [str(binary)], environment, claim.port) as reader:
            yield reader


@contextmanager
def _ticking(name: str, root: Path, servers: str, arguments: Sequence[str]) -> Iterator[Reader]:
    command = [str(root / ".venv/bin/python"), str(TICKING), servers, *arguments]
    with subprocess.Popen(
        command,
        cwd=root,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        reported, answers = process.stdin, process.stdout
        answers.readline()

        def read() -> int:
            reported.write("\n")
            reported.flush()
            if not (answer := answers.readline()):
                raise RuntimeError(f"the collector of {root} ended with {process.wait()}")
            return int(answer)

        try:
            yield Reader(name, process.pid, read)
        finally:
            process.kill()


@contextmanager
def _serving(
    name: str, command: list[str], environment: Mapping[str, str], port: int
) -> Iterator[Reader]:
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        url = f"http://127.0.0.1:{port}/metrics"

        def read() -> int:
            with urlopen(url, timeout=600) as page:
                size = 0
                while part := page.read(1 << 20):
                    size += len(part)
                return size

        try:
            _wait_for(process, port)
            yield Reader(name, process.pid, read, url)
        finally:
            process.kill()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Until it listens, which is not yet a reading of the cluster."""
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            urlopen(f"http://127.0.0.1:{port}/", timeout=60).close()
        except OSError as error:
            if hasattr(error, "code"):
                return
            time.sleep(0.2)
        else:
            return
