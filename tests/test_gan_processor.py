"""What the allocator does with memory that is free again."""

import subprocess
import sys

import pytest

PAGES_OF_A_LOOP = """
import resource, sys, torch
from pipeline.gan.processor import keep_freed_memory
assert len(sys.argv) == 1 or keep_freed_memory()
for step in range(40):
    if step == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.zeros(4 * 2**20) for _ in range(4)]  # 16 MiB each
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(*arguments: str) -> int:
    command = [sys.executable, "-c", PAGES_OF_A_LOOP, *arguments]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_taken_again_without_the_kernel() -> None:
    assert _faults() > 20 * 16 * 256  # at least one tensor's pages in each of the 20 steps …
    assert _faults("kept") < 1000  # … and none once it is kept
