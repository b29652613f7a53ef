"""Host names of token endpoints, looked up like brokers'."""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from operators.protocol.names import addresses


class Resolver(AbstractResolver):
    """aiohttp's way to `addresses`."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=of_family,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for of_family, address in await addresses(host, port, family)
        ]

    async def close(self) -> None:
        """Nothing is held."""
