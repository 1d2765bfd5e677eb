"""CPU settings of this process: threads, and how the allocator treats freed memory."""

import ctypes
import sys

import torch

# Parameters of glibc's mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # glibc's maximum
KEPT_BYTES = 2**31 - 1  # mallopt takes C ints
PAD_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next tensor; whether it accepted the settings. A no-op except on Linux.

    Each step frees and allocates the same tensors of several megabytes. By default glibc returns them to the kernel, which maps
    and zeroes every page again: a seventh of the training time. Resident memory then stays at its peak.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
    settings = {M_MMAP_THRESHOLD: LARGEST_MMAP_THRESHOLD, M_TRIM_THRESHOLD: KEPT_BYTES, M_TOP_PAD: PAD_BYTES}
    return mallopt is not None and all(mallopt(parameter, value) == 1 for parameter, value in settings.items())


def prepare_processor(threads: int) -> None:
    """Fix the number of threads, on which the last bits of results depend, and keep freed memory."""
    torch.set_num_threads(threads)
    keep_freed_memory()
