"""What a job keeps resident, and what it gives back."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.resident import unchanged

SMAPS = """\
7fe460400000-7fe4606c7000 r--p 00000000 fe:00 10038703                   /lib/libarrow.so.2600
Size:               2844 kB
Rss:                2100 kB
Anonymous:             {own} kB
Swap:                  {swapped} kB
VmFlags: rd mr mw me
7fe4606c7000-7fe46219b000 r-xp 002c7000 fe:00 10038703                   /lib/lib arrow (deleted)
Anonymous:             0 kB
Swap:                  0 kB
7fe4628dd000-7fe4628e0000 rw-p 024dc000 fe:00 10038703                   /lib/libarrow.so.2600
Anonymous:             0 kB
Swap:                  0 kB
7fe463000000-7fe463100000 r--p 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
7fe463200000-7fe463300000 r--s 00000000 fe:00 12                         /shared
Anonymous:             0 kB
Swap:                  0 kB
"""
FIRST = (0x7FE460400000, 0x7FE4606C7000)
CODE = (0x7FE4606C7000, 0x7FE46219B000)


@pytest.mark.parametrize(
    ("own", "swapped", "expected"),
    [(0, 0, [FIRST, CODE]), (4, 0, [CODE]), (0, 4, [CODE])],
    ids=["unchanged", "relocated", "relocated and swapped out"],
)
def test_what_is_as_in_its_file_can_go(
    own: int, swapped: int, expected: list[tuple[int, int]]
) -> None:
    """Private, read-only mappings of a file without a page of their own, in memory or swapped."""
    assert list(unchanged(SMAPS.format(own=own, swapped=swapped))) == expected


GIVING_BACK = """
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq, numpy as np
from pathlib import Path
from flows.resident import give_back
def resident():
    status = Path("/proc/self/smaps_rollup").read_text()
    return int(status.split("Rss:")[1].split()[0])
before = resident()
give_back()
after = resident()
table = pa.table({"n": np.arange(1000), "text": [str(n) for n in range(1000)]})
pq.write_table(table, "rows.parquet")
back = pq.read_table("rows.parquet")
print(before - after, pc.sum(back["n"]).as_py(), back.equals(table), pa.total_allocated_bytes() > 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of /proc")
def test_libraries_work_on_after_their_pages_were_given_back(tmp_path: Path) -> None:
    """More than 10 MB go, and what is needed comes again, relocated code and tables among it."""
    ended = subprocess.run(
        [sys.executable, "-c", GIVING_BACK],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    given, *rest = ended.stdout.split()
    assert int(given) > 10_000
    assert rest == ["499500", "True", "True"]


TAKING = """
import sys
from flows.resident import few_copies
few_copies()
import pyarrow as pa
print(pa.default_memory_pool().backend_name)
"""


@pytest.mark.parametrize(
    ("reported", "expected"),
    [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")],
)
def test_arrow_takes_memory_as_all_else_does_unless_set_otherwise(
    reported: dict[str, str], expected: str
) -> None:
    """By the environment, before Arrow is loaded."""
    ended = subprocess.run(
        [sys.executable, "-c", TAKING],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), **reported},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.strip() == expected
