"""Collection from NATS servers with JetStream, by the JSON pages of their monitoring ports.

`monitor` reads a server's pages, and `collector` those of all servers in a tick. `servers` and `streams`
make samples of them.
"""
