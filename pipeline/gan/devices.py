"""Device, precision and determinism, and copies between CPU and GPU that do not block."""

import os

import torch
from torch import Tensor

from pipeline.errors import ParamsError
from pipeline.gan.processor import prepare_processor


def choose_device(wanted: str, section: str = "train") -> torch.device:
    """The device `wanted`; `auto` is CUDA when available. Raises ParamsError, naming `section`, if there is no CUDA device."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ParamsError(f"{section}.device: cuda, but torch sees no CUDA device; set it to auto or cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def choose_precision(wanted: str, device: torch.device) -> str:
    """`fp32`, `bf16` or `fp16`. `auto` is bf16 if the processor reports support, else fp32.

    It is not timed, so that a machine always makes the same choice.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    can = torch.cpu.get_capabilities()
    return "bf16" if can.get("amx_bf16") or can.get("avx512_bf16") else "fp32"


def prepare_device(device: torch.device, threads: int) -> None:
    """Make results reproducible: a fixed number of threads and, on a GPU, deterministic kernels.

    An operation without a deterministic GPU kernel warns.
    """
    prepare_processor(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not deterministic without it
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Otherwise torch fills every new tensor before it is written, to expose reads of uninitialised memory.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to `device` without blocking."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)  # a copy from pageable memory would block


def device_generator(rng: torch.Generator, device: torch.device) -> torch.Generator:
    """A random generator on `device`, seeded from `rng`, for tensors too large to draw on the CPU and copy."""
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=rng)))


class AsyncCopy:
    """A copy of a small tensor to the CPU, made while its device keeps computing."""

    def __init__(self, tensor: Tensor) -> None:
        self._copy = tensor.to("cpu", non_blocking=True)
        self._copied = torch.cuda.current_stream(tensor.device).record_event() if tensor.is_cuda else None

    def wait(self) -> Tensor:
        """Wait for the copy and return the CPU tensor."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._copy
