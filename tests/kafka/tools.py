"""Kafka's own command line tools, from the same jars as the brokers."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kafka.jars import VERSION, classpath, java, resolve_jars

# Quick to start rather than fast in the long run.
QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class ToolError(Exception):
    """A tool of Kafka's ended with an error; the text has all that it printed."""


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
    options = [*QUICK_START, "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    classes = jars / f"{main_class}.jsa"
    with TemporaryDirectory(prefix="classes.", dir=jars.parent) as unfinished:
        ours = Path(unfinished) / classes.name
        # The first keeps its classes for those to come; what the JVM says of that is no output.
        archive = f"SharedArchiveFile={classes}"
        if not classes.exists():
            archive = f"ArchiveClassesAtExit={ours}"
        command = [java(), *options, f"-XX:{archive}", "-Xlog:disable", "-cp", classpath(jars)]
        printed = _run([*command, main_class, *args], timeout)
        if ours.exists():
            ours.rename(classes)
    return printed


def _run(command: list[str], timeout: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{' '.join(command)} took over {timeout} s") from error
    if done.returncode:
        raise ToolError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout
