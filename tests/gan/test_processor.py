"""What the allocator does with memory that is free again."""

import subprocess
import sys

import pytest

# Blocks of malloc itself, so that nothing of torch lies above them; together more than glibc keeps of its own accord.
PAGES_OF_A_LOOP = """
import ctypes, resource
from pipeline.gan.processor import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    for step in range(4):
        if step == 2:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [libc.malloc(24 * 2**20) for _ in range(4)]
        for block in blocks:
            ctypes.memset(block, 1, 24 * 2**20)
        for block in blocks:
            libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

left_alone = faults()
assert keep_freed_memory()
print(left_alone, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_taken_again_without_the_kernel() -> None:
    command = [sys.executable, "-c", PAGES_OF_A_LOOP]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    left_alone, kept = map(int, done.stdout.split())
    assert left_alone > 100 * kept + 1000
