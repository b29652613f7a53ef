"""Executes docker/Dockerfile's build stage in a directory: `python -m tests.docker DIRECTORY`."""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.docker.steps import ROOT, run_stage, stages


def main() -> int:
    """Build, then say where the product lies; 1 where a step fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.docker", description=__doc__)
    parser.add_argument("directory", type=Path, help="is made; must not be there")
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable).resolve(), help="in the image's place"
    )
    options = parser.parse_args()
    directory: Path = options.directory.absolute()
    try:
        run_stage(stages(ROOT / "docker/Dockerfile")[0], directory, options.python, print)
    except subprocess.CalledProcessError as error:
        print(error.stdout)
        return 1
    print(directory / "opt/mqpipe/bin/mqpipe")
    return 0


if __name__ == "__main__":
    sys.exit(main())
