"""Free loopback ports that stay one's own for as long as they are claimed."""

import random
import socket
from typing import Self

# Below the range from which Linux takes ports for outgoing connections (32768 on), so that
# nobody is given a killed broker's port before it is started again.
_RANGE = range(15000, 30000)


class PortClaim:
    """A TCP port on 127.0.0.1 that is free and that no other claim holds, in any process."""

    def __init__(self) -> None:
        for port in random.sample(_RANGE, 200):
            # An abstract Unix socket is the claim: it ends with the process that holds it.
            self._claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._claim.bind(f"\0mqpipe-test-port-{port}")
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                self._claim.close()
                continue
            self.port = port
            return
        raise RuntimeError(f"no free port on 127.0.0.1 between {_RANGE[0]} and {_RANGE[-1]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the port back."""
        self._claim.close()
