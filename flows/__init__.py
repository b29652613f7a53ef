"""The dataflows, their configuration, the runtime and the command line."""
