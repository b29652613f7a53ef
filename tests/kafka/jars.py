"""Kafka's jars: resolved once by Maven into a cache outside the tree."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

POM = Path(__file__).with_name("pom.xml")

VERSIONS = ("2.8.2", "3.9.1", "4.3.1", "4.4.0")
"""Kafka's versions that tests know: the oldest and the newest that mqpipe collects from, and others."""

VERSION = "4.3.1"
"""The version of most tests, and of all of Kafka's own tools, whatever the brokers are."""


OLD_AGENT = "0.20.0"
"""An agent of the Prometheus JMX exporter before 1.0, whose pages are written otherwise."""


class MissingToolError(Exception):
    """Java, Maven or RabbitMQ is not on this machine; `tool` is the command that was looked for."""

    def __init__(self, tool: str, package: str) -> None:
        super().__init__(tool, package)
        self.tool = tool
        self.package = package

    def __str__(self) -> str:
        return (
            f"the tests' broker needs `{self.tool}`, which is not on PATH: "
            f"install it (Debian: apt-get install {self.package})"
            + (
                ""
                if "rabbit" in self.tool
                else ", or set MQPIPE_TEST_BOOTSTRAP to a broker that runs"
            )
        )


class UnresolvedJarsError(Exception):
    """Maven could not bring the jars; the text ends with what it printed."""


def command(name: str, package: str) -> str:
    """The path of a command, which Debian's `package` has.

    Raises:
        MissingToolError: it is not on PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(name, package)
    return found


def java() -> str:
    """The path of the `java` command.

    Raises:
        MissingToolError: there is none.
    """
    return command("java", "openjdk-17-jre-headless")


def resolve_jars(version: str = VERSION) -> Path:
    """The directory that holds the jars of pom.xml, brought by Maven at a version's first call.

    The directory bears the hash of pom.xml, so a changed pom is resolved again.

    Raises:
        MissingToolError: the jars are not there yet and neither is Maven.
        UnresolvedJarsError: Maven failed.
    """

    def copy(unfinished: Path) -> None:
        unfinished.mkdir()
        _copy_dependencies(maven, version, unfinished)

    name = f"kafka-{version}-{sha256(POM.read_bytes()).hexdigest()[:12]}"
    if (jars := _cache() / name).is_dir():
        return jars
    maven = command("mvn", "maven")
    return kept(jars, copy)


def kept(path: Path, make: Callable[[Path], None]) -> Path:
    """A file or directory of the cache, which `make` writes, at a path that it is given, where it is not yet.

    Processes that race for it wait for the first; it appears by rename, so one that is killed
    leaves no half of it.
    """
    if not path.exists():
        with _locked(path.with_name(f"{path.name}.lock")):
            if not path.exists():
                with TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as unfinished:
                    made = Path(unfinished) / path.name
                    make(made)
                    made.rename(path)
    return path


def agent_jar(jars: Path) -> Path:
    """The Prometheus JMX exporter's agent among the jars."""
    (agent,) = jars.glob("jmx_prometheus_javaagent-*.jar")
    return agent


def old_agent_jar() -> Path:
    """The agent as it was before 1.0, brought by Maven at the first call.

    Raises:
        MissingToolError: it is not there yet and neither is Maven.
        UnresolvedJarsError: Maven failed.
    """
    return _one_jar("io.prometheus.jmx:jmx_prometheus_javaagent", OLD_AGENT)


def tiered_jar() -> Path:
    """Kafka's own LocalTieredStorage, which keeps remote segments in a directory; brought by Maven.

    Raises:
        MissingToolError: it is not there yet and neither is Maven.
        UnresolvedJarsError: Maven failed.
    """
    return _one_jar("org.apache.kafka:kafka-storage", VERSION, "test")


def _one_jar(artifact: str, version: str, classifier: str = "") -> Path:
    name = "-".join((artifact.partition(":")[2], version, *filter(None, (classifier,)))) + ".jar"

    def copy(unfinished: Path) -> None:
        what = f"{artifact}:{version}" + (f":jar:{classifier}" if classifier else "")
        plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
        _run([maven, "-B", "-q", plugin, f"-Dartifact={what}"], unfinished.parent)

    if (jar := _cache() / name).exists():
        return jar
    maven = command("mvn", "maven")
    return kept(jar, copy)


def classpath(jars: Path) -> str:
    """The class path of Kafka's servers and tools; an agent that is given brings its own."""
    return ":".join(str(jar) for jar in sorted(jars.glob("*.jar")) if jar != agent_jar(jars))


def _copy_dependencies(maven: str, version: str, directory: Path) -> None:
    goal = ["-f", str(POM), "dependency:copy-dependencies"]
    _run(
        [maven, "-B", "-q", *goal, f"-Dkafka.version={version}", "-DincludeScope=runtime"],
        directory,
    )


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mqpipe"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _run(command: list[str], directory: Path) -> None:
    """Run a goal of Maven's whose output is a directory."""
    command = [*command, f"-DoutputDirectory={directory}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnresolvedJarsError(
            f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
