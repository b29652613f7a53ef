"""Which mechanism, with what: by a client's properties."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from operators.protocol.apart import apart
from operators.protocol.sasl.exchange import Exchange
from operators.protocol.sasl.gssapi import gssapi
from operators.protocol.sasl.oauthbearer import oauthbearer
from operators.protocol.sasl.plain import plain
from operators.protocol.sasl.scram import scram


class Login:
    """What a client logs in with; it keeps its token, where there is one."""

    def __init__(self, mechanism: str, values: Mapping[str, Any]) -> None:
        self.mechanism = mechanism
        self.blocks = mechanism == "GSSAPI"
        """Whether a step of the exchange may wait for others than the broker."""
        self._values = values
        self._tokens: Any = None

    async def exchange(self, host: str, timeout: float) -> Exchange:
        """An exchange with the broker at `host`, which has what it takes.

        Raises:
            RefusedError: there is no token to be had.
        """
        values = self._values
        if self.mechanism == "PLAIN":
            return plain(values["sasl.username"], values["sasl.password"])
        if self.mechanism.startswith("SCRAM"):
            return scram(self.mechanism, values["sasl.username"], values["sasl.password"])
        if self.mechanism == "OAUTHBEARER":
            return await self._oauthbearer(timeout)
        if self.mechanism == "GSSAPI":
            return gssapi(
                values.get("sasl.kerberos.service.name", "kafka"),
                host,
                values.get("sasl.kerberos.principal"),
                values.get("sasl.kerberos.keytab"),
            )
        from operators.protocol.sasl.msk_iam import msk_iam, signed

        return msk_iam(await asyncio.wrap_future(apart(partial(signed, host))))

    async def _oauthbearer(self, timeout: float) -> Exchange:
        from operators.protocol.sasl import oidc

        values = self._values
        if values.get("sasl.oauthbearer.method") != "oidc":
            return oauthbearer(*oidc.unsecured(values["sasl.oauthbearer.config"]))
        if self._tokens is None:
            self._tokens = oidc.OidcTokens(values)
        return oauthbearer(await self._tokens.get(timeout), oidc.extensions(values))
