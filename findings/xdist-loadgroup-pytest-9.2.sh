#!/usr/bin/env bash
# pytest-xdist 3.8.0 beside pytest 9.2.0: `--dist loadgroup` keeps no group together, without a word.
#
# Seen on 2026-11-28, Python 3.11. pytest-xdist tells its scheduler of a test's group (`xdist_group`) by a suffix
# of the test's id, which it writes to `item._nodeid`. Since pytest 9.2 an item's id is kept elsewhere
# (`item._id`, a NodeId), so `_nodeid` is an attribute that nothing reads: tests of one group run on all
# workers, each of which makes the fixtures that the group was to share. With pytest 9.1.1 an id ends with
# `@group`, and each group runs on one worker.
#
# This fails where either has changed: then the bound on pytest in pyproject.toml may go.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > test_groups.py <<'PY'
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_of_one_group(number):
    time.sleep(0.2)
PY
workers() { # workers PYTEST: how many workers ran the group's tests
  python3 -m venv "venv-$1"
  "venv-$1/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  "venv-$1/bin/pytest" -p no:cacheprovider -n 2 --dist loadgroup -v test_groups.py |
    grep -o '^\[gw[0-9]*\].*PASSED' | cut -d' ' -f1 | sort -u | wc -l
}
older=$(workers 9.1.1)
newer=$(workers 9.2.0)
echo "workers that ran one group: pytest 9.1.1: $older, pytest 9.2.0: $newer"
[ "$older" = 1 ] && [ "$newer" = 2 ]
