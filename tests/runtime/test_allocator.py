from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LET_GO = """
import resource
from logops_fast.runtime.allocator import keep_freed_memory
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for _ in range(200):
        bytes(1 << 20)
kept = keep_freed_memory()
work()
before = faults()
work()
print(kept, faults() - before)
"""


@pytest.mark.process
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's malloc is left as it is")
def test_memory_of_one_batch_is_there_for_the_next() -> None:
    done = subprocess.run([sys.executable, "-c", LET_GO], check=True, capture_output=True, text=True)
    kept, faults = done.stdout.split()
    assert kept == "True"
    assert int(faults) < 1000, "200 MiB were mapped again page by page, 256 faults a MiB"
