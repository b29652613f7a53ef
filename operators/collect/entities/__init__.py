"""Samples of each entity type, made of what was read at a tick."""
