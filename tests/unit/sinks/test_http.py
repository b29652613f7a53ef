"""Posts of sinks: what a failed one says."""

import asyncio
import errno
import os

import pytest

from sinks.delivery import RetryLater
from sinks.http import HttpClient
from tests.ports import PortClaim


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_place_that_refuses_is_named_with_the_systems_word(scheme: str) -> None:
    """Not with the call that failed, nor with words on TLS where there is none."""

    async def post(port: int) -> str:
        client = HttpClient({}, 5.0, proxies=False)
        await client.start()
        try:
            with pytest.raises(RetryLater) as later:
                await client.post(f"{scheme}://127.0.0.1:{port}/", b"")
        finally:
            await client.stop()
        return later.value.reason

    refused = os.strerror(errno.ECONNREFUSED)
    with PortClaim() as claim:
        said = asyncio.run(post(claim.port))
    assert said == f"cannot connect to 127.0.0.1:{claim.port}: {refused}"
