"""Where networks compute and in what precision, and how numbers get there."""

import os

import torch
from torch import Tensor

from pipeline.errors import ParamsError
from pipeline.gan.processor import prepare_processor


def choose_device(wanted: str, section: str = "train") -> torch.device:
    """The device of that name; for `auto` CUDA where there is one. Raises ParamsError, which names the section."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ParamsError(f"{section}.device: cuda, but torch sees no CUDA device; set it to auto or cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What a reader of a run calls it: cpu, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def choose_precision(wanted: str, device: torch.device) -> str:
    """`fp32`, `bf16` or `fp16`; for `auto` one of the first two, by what the processor says it can, not by timing, so that a
    machine always chooses alike.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    can = torch.cpu.get_capabilities()
    return "bf16" if can.get("amx_bf16") or can.get("avx512_bf16") else "fp32"


def prepare_device(device: torch.device, threads: int) -> None:
    """Have the same numbers come out every time: so many threads from now on, and on a GPU deterministic kernels alone.

    An operation that has no deterministic kernel on a GPU warns.
    """
    prepare_processor(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
        # By default every new tensor is then filled before it is written, for those who read what they have not written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor`, which is on the CPU, on `device`, which is not waited for."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)  # from pageable memory a copy waits for all before it


def device_generator(random: torch.Generator, device: torch.device) -> torch.Generator:
    """A generator on `device`, for what is too much to be drawn on the CPU and sent; its seed comes from `random`."""
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=random)))


class AsyncCopy:
    """A small tensor on its way to the CPU, while what it comes from goes on computing."""

    def __init__(self, tensor: Tensor) -> None:
        self._copy = tensor.to("cpu", non_blocking=True)
        self._copied = torch.cuda.current_stream(tensor.device).record_event() if tensor.is_cuda else None

    def wait(self) -> Tensor:
        """It, on the CPU."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._copy
