"""Attacks on mqpipe that repeat with a seed: `python -m tests.attack --minutes 60`."""
