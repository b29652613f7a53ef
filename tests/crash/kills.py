"""How often jobs are killed: some times, and in the long tests many."""

import os

import pytest

KILLS = [
    3,
    pytest.param(
        int(os.environ.get("MQPIPE_TEST_KILLS", "12")),
        marks=pytest.mark.long("is killed many times, which takes minutes"),
    ),
]
"""How often each job is killed at a random moment."""
