"""What is kept from one start of a broker to the next, beside the jars: half of what a start takes."""

import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

from tests.kafka.jars import kept, resolve_jars

ARCHIVING = ("-XX:+UnlockDiagnosticVMOptions", "-XX:+AllowArchivingWithJavaAgent")
"""The JVM keeps classes although an agent, which changes none, is there."""


def archived_classes(version: str, run: Callable[[str], None]) -> tuple[str, ...]:
    """Options by which a JVM maps a broker's classes as another had them, loaded and verified.

    `run` has a broker of the version come up and end, with an option that is given to it, where
    they are not kept yet. A JVM that cannot use what is kept loads them itself.
    """

    def archive(unfinished: Path) -> None:
        run(f"-XX:ArchiveClassesAtExit={unfinished}")
        unfinished.touch()  # of a JVM that keeps none: it is not asked again

    classes = kept(resolve_jars(version) / "classes.jsa", archive)
    return (f"-XX:SharedArchiveFile={classes}", *ARCHIVING)


def formatted(version: str, run: Callable[[Path], None]) -> Path:
    """A broker's directory as `StorageTool format` leaves it; `run` formats one at a path."""
    return kept(resolve_jars(version) / "formatted", run)


def copy_formatted(formatted: Path, directory: Path, broker_id: int, cluster_id: str) -> None:
    """Make a directory that is formatted as another is, for a broker of a cluster."""
    shutil.copytree(formatted, directory)
    own = {"node.id": str(broker_id), "directory.id": some_id(), "cluster.id": cluster_id}
    lines = [line.partition("=") for line in (formatted / META).read_text().splitlines()]
    text = "".join(f"{key}{sep}{own.get(key, value)}\n" for key, sep, value in lines)
    (directory / META).write_text(text)


def some_id() -> str:
    """A new id as Kafka writes them: of a cluster, or of a directory."""
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


META = "meta.properties"
