"""Where the process `mqpipe` begins."""

import gc
import os


def main() -> None:
    """Run the command line, so that its start costs as little as it can.

    What is imported stays, so that looking for garbage among it, a quarter of a start, is of no
    use: `flows.cli` turns that on once a command begins its work; and what is there at the end goes
    with the process. Pydantic need not look through all that is installed for plugins of its own.
    Nothing here multiplies matrices: NumPy need not start a thread a core that could, whose waiting
    took a tenth of a start; a plug-in that wants them sets the environment.
    """
    gc.disable()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from flows.cli import main as command_line

    try:
        command_line()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
