"""What may be wrong with a spool."""

from pathlib import Path


class SpoolInUseError(Exception):
    """Another live process uses this spool."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(directory)

    def __str__(self) -> str:
        return (
            f"{self.directory}: another mqpipe delivers this spool; stop it, or give each of "
            "them its own spool.path"
        )
