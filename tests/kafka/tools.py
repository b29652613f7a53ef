"""Kafka's own command line tools, from the same jars as the brokers.

A tool takes half a second of a core to start: what is asked of a cluster goes to one JVM that has started
(`ToolServer.java`), where there is the compiler that it needs.
"""

import atexit
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kafka.jars import VERSION, classpath, java, kept, resolve_jars

# Quick to start rather than fast in the long run.
QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

SERVER = Path(__file__).with_name("ToolServer.java")


class ToolError(Exception):
    """A tool of Kafka's ended with an error; the text has all that it printed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a tool ended, and what it printed."""

    code: int
    out: str
    err: str


def ask_tool(main_class: str, *args: str, timeout: float = 60.0) -> str:
    """What today's tool printed on standard output, like `run_tool`, in a JVM that has started already.

    Raises:
        ToolError: it ended with an error, or not in time.
        MissingToolError, UnresolvedJarsError: there is no Java, or no jars.
    """
    server = _server()
    if server is None or not _classes().exists():
        return run_tool(main_class, *args, timeout=timeout)
    return _printed(server.run(main_class, args, timeout), [main_class, *args])


def run_tool(main_class: str, *args: str, timeout: float = 60.0, version: str = VERSION) -> str:
    """What a tool printed on standard output.

    `main_class` is the class behind a `kafka-*.sh` script: `org.apache.kafka.tools.TopicCommand`,
    `org.apache.kafka.tools.consumer.group.ConsumerGroupCommand`, `kafka.tools.StorageTool`, …
    `timeout` is in seconds. `version` is the tool's; only what works on a broker's own files has to
    be of the broker's.

    Raises:
        ToolError: it ended with an error, or not in time.
        MissingToolError, UnresolvedJarsError: there is no Java, or no jars.
    """
    jars = resolve_jars(version)
    classes = jars / f"{main_class}.jsa"
    with TemporaryDirectory(prefix="classes.", dir=jars.parent) as unfinished:
        ours = Path(unfinished) / classes.name
        # The first keeps its classes for those to come; what the JVM says of that is no output.
        archive = f"SharedArchiveFile={classes}"
        if not classes.exists():
            archive = f"ArchiveClassesAtExit={ours}"
        command = [*_java(archive), classpath(jars), main_class, *args]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise _too_late([main_class, *args], timeout) from error
        printed = _printed(Ended(done.returncode, done.stdout, done.stderr), command)
        if ours.exists():
            ours.rename(classes)
    return printed


class ToolServer:
    """A JVM that runs tools, one after the other; it ends with this process."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, main_class: str, args: tuple[str, ...], timeout: float) -> Ended:
        """How a tool ended.

        Raises:
            ToolError: not within `timeout` seconds, or with the JVM.
        """
        asked = [main_class, *args]
        with self._turn:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            too_late = threading.Timer(timeout, process.kill)
            too_late.start()
            try:
                process.stdin.write("\t".join(asked).encode() + b"\n")
                process.stdin.flush()
                code, out, err = (int(number) for number in process.stdout.readline().split())
                printed = [process.stdout.read(size).decode() for size in (out, err)]
            except (OSError, ValueError) as error:  # the pipe is closed, or its line not whole
                _end(process)
                raise _too_late(asked, timeout) from error
            finally:
                too_late.cancel()
        return Ended(code, *printed)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the tests; they close its input.
            )
        return self._process

    def close(self) -> None:
        """Ends the JVM; another one answers what is asked afterwards."""
        if self._process is not None:
            _end(self._process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(BrokenPipeError), process:  # which closes its pipes
        process.kill()


@cache
def _server() -> ToolServer | None:
    """The JVM of this process; None where Java has no compiler."""
    jars = resolve_jars()

    def compile_it(directory: Path) -> None:
        directory.mkdir()
        compiler = [java(), "-m", "jdk.compiler/com.sun.tools.javac.Main"]
        command = [*compiler, "-cp", classpath(jars), "-d", str(directory), str(SERVER)]
        subprocess.run(command, capture_output=True, check=False)

    name = f"tool-server-{sha256(SERVER.read_bytes()).hexdigest()[:12]}"
    compiled = kept(jars / name, compile_it)
    if not any(compiled.iterdir()):
        return None
    path = f"{classpath(jars)}:{compiled}"
    server = ToolServer([*_java(f"SharedArchiveFile={_classes()}"), path, "ToolServer"])
    atexit.register(server.close)
    return server


def _classes() -> Path:
    """What the JVM has its classes from once `run_tool` kept them: those of one tool are most of all tools'."""
    return resolve_jars() / "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand.jsa"


def _java(archive: str) -> list[str]:
    """A JVM with kept classes; the class path and the class are to follow."""
    quiet = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Xlog:disable"]
    return [java(), *QUICK_START, "-Xmx256m", *quiet, f"-XX:{archive}", "-cp"]


def _printed(ended: Ended, asked: list[str]) -> str:
    if ended.code:
        raise ToolError(f"{' '.join(asked)} ended with {ended.code}:\n{ended.out}{ended.err}")
    return ended.out


def _too_late(asked: list[str], timeout: float) -> ToolError:
    return ToolError(f"{' '.join(asked)} took over {timeout} s")
