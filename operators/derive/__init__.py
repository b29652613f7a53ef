"""Derivation: rates, lag in seconds and trends, from what two ticks measured.

`operator` is the Bytewax step. `brokers`, `topics` and `groups` each derive one kind's columns
from this tick's raw measures and the ones before, which `store` keeps.
"""
