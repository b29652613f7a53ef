#!/usr/bin/env bash
# bytewax 0.21.1: of two sources that are asked at different times, one is held back after a while,
# seen 2026-11-28.
#
# An epoch of a source ends the first time that the source is asked after `epoch_interval`, and the next one
# is counted from then. A source that is asked every 50 ms so has epochs of 1.0 s, one that is asked every
# 300 ms such of 1.2 s, and nothing brings them together again: the first gets further ahead with each, and
# what is ahead is not asked until the other has come, while the engine goes on looking whether it has. After
# some minutes (with the default epoch of 10 s: hours) the source that asks to be awoken every 50 ms gives
# something once an epoch, and the process takes many times the processor. With one source, or two that are
# asked at the same times, nothing of this is seen. So the sources of mqpipe end their epochs at multiples of
# the epoch's length, and ask for nothing just before them.
#
# Seen, in 20 s at epochs of 1 s (longest pause in the last quarter; processor's seconds):
#   asked every 50 ms, alone              0.1 s   0.6
#   asked every 50 ms, beside 300 ms      1.3 s   5.2
#   asked every 50 ms, beside 50 ms       0.1 s   0.7
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bytewax==0.21.1
cat >"$folder/flow.py" <<'PYTHON'
import time
from datetime import datetime, timedelta, timezone

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSink, run_main

SECONDS = 20


class Partition(StatefulSourcePartition):
    def __init__(self, every, asked):
        self.every, self.asked = every, asked
        self.end = time.monotonic() + SECONDS

    def next_batch(self):
        self.asked.append(time.monotonic())
        if self.asked[-1] > self.end:
            raise StopIteration
        return []

    def next_awake(self):
        return datetime.now(timezone.utc) + timedelta(seconds=self.every)

    def snapshot(self):
        return None


class Source(FixedPartitionedSource):
    def __init__(self, every, asked):
        self.every, self.asked = every, asked

    def list_parts(self):
        return ["one"]

    def build_part(self, step_id, for_part, resume_state):
        return Partition(self.every, self.asked)


def longest_pause(*every):
    """Of the first source, in the last quarter; and the processor's seconds."""
    flow, first = Dataflow("flow"), []
    for number, seconds in enumerate(every):
        asked = [] if number else first
        op.output(f"out{number}", op.input(f"in{number}", flow, Source(seconds, asked)), TestingSink([]))
    before = time.process_time()
    run_main(flow, epoch_interval=timedelta(seconds=1))
    used = time.process_time() - before
    last = [at for at in first if at > first[-1] - SECONDS / 4]
    return max(b - a for a, b in zip(last, last[1:])), used


rows = {"alone": (0.05,), "beside 300 ms": (0.05, 0.3), "beside 50 ms": (0.05, 0.05)}
found = {name: longest_pause(*every) for name, every in rows.items()}
for name, (pause, used) in found.items():
    print(f"asked every 50 ms, {name:15} {pause:9.1f} s {used:5.1f}")
assert found["beside 300 ms"][0] > 0.9, "it is asked as often as it wants: the findings are old"
assert found["beside 300 ms"][1] > 2 * found["alone"][1]
PYTHON
"$folder/venv/bin/python" "$folder/flow.py"
