"""How this process uses the CPU: threads, and what the allocator does with memory that is free again."""

import ctypes
import sys

import torch

# Parameters of glibc's mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # what glibc takes at most
KEPT_BYTES = 2**31 - 1  # mallopt's numbers are C ints
PAD_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next tensor; whether it was told so. Elsewhere than on Linux nothing changes.

    A step frees and takes the same tensors of megabytes again. By default each goes back to the kernel, and each page is then
    zeroed and mapped anew: a seventh of the training's time. The process's resident memory stays at its peak.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
    settings = {M_MMAP_THRESHOLD: LARGEST_MMAP_THRESHOLD, M_TRIM_THRESHOLD: KEPT_BYTES, M_TOP_PAD: PAD_BYTES}
    return mallopt is not None and all(mallopt(parameter, value) == 1 for parameter, value in settings.items())


def prepare_processor(threads: int) -> None:
    """Compute on so many threads from now on, for the last bits of results depend on it, and keep freed memory."""
    torch.set_num_threads(threads)
    keep_freed_memory()
