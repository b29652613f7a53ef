#!/usr/bin/env bash
# bytewax 0.21.1 stands still for as long as the wall clock is set back, seen 2026-11-27.
#
# A source says when it is to be asked next (`next_awake`), and the engine compares that with the wall
# clock, as it does for the ends of epochs: set back by 6 s, a source that asked to be awoken within
# 0.1 s is asked again after 6 s, takes no snapshot meanwhile, and has no means to be asked earlier.
# The waits in between are of the monotonic clock, so that the process is awake and does nothing.
# So mqpipe looks at both clocks itself, and starts again from the last snapshot.
#
# Needs libfaketime (Debian: faketime), which fakes the wall clock alone.
#
# Seen: the longest pause of a source that asks for one of 0.1 s
#   clock left alone      0.1 s
#   clock set back by 6 s 6.1 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bytewax==0.21.1
cat >"$folder/flow.py" <<'PYTHON'
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSink, run_main

CLOCK, STEP = sys.argv[1:]


def set_clock():
    with open(CLOCK, "w") as file:
        file.write(STEP)


class Partition(StatefulSourcePartition):
    def __init__(self):
        self.asked = []

    def next_batch(self):
        self.asked.append(time.monotonic())
        if len(self.asked) == 10:
            threading.Timer(0.05, set_clock).start()
        if len(self.asked) == 20:
            print(round(max(b - a for a, b in zip(self.asked, self.asked[1:])), 1))
            raise StopIteration
        return []

    def next_awake(self):
        return datetime.now(timezone.utc) + timedelta(seconds=0.1)

    def snapshot(self):
        return None


class Source(FixedPartitionedSource):
    def list_parts(self):
        return ["one"]

    def build_part(self, step_id, for_part, resume_state):
        return Partition()


flow = Dataflow("clock")
op.output("out", op.input("in", flow, Source()), TestingSink([]))
run_main(flow)
PYTHON

library=$(find /usr/lib -name libfaketime.so.1 | head -1)
longest() {
    echo +0 >"$folder/clock"
    env LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$folder/clock" FAKETIME_NO_CACHE=1 \
        DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \
        "$folder/venv/bin/python" "$folder/flow.py" "$folder/clock" "$1"
}
alone=$(longest +0)
back=$(longest -6)
echo "clock left alone      $alone s"
echo "clock set back by 6 s $back s"
python3 -c "assert $alone < 3 and 5.5 < $back < 12"
