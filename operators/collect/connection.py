"""librdkafka's client, held so that it may be dropped anywhere."""

import _thread
from contextlib import suppress

from confluent_kafka.admin import AdminClient


class Connection:
    """An AdminClient whose end holds up nobody.

    When it is dropped, librdkafka waits for its threads, and one of them may wait for a name
    server for tens of seconds. So a thread of its own drops it, whoever held it last. Keep this
    and not `admin`.
    """

    def __init__(self, admin: AdminClient) -> None:
        self._held = [admin]

    @property
    def admin(self) -> AdminClient:
        """The client, to be called and not to be kept."""
        return self._held[0]

    def __del__(self) -> None:
        # Not by `threading`, which waits for its thread to begin: while the interpreter ends, none
        # does any more.
        with suppress(RuntimeError):
            _thread.start_new_thread(self._held.clear, ())
