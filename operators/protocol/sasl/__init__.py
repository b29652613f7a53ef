"""How a client proves who it is: SASL's mechanisms, and the exchange with a broker."""

from operators.protocol.sasl.login import Login

__all__ = ["Login"]
