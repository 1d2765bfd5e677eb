"""Convolutions with a fast second derivative on GPUs.

torch's own double backward computes the weight gradient as a convolution whose kernels are whole images. cuDNN has only slow
code for that: it took three quarters of a step with R1 on an H100. Here the input gradient is itself a (transposed) convolution
and is differentiated as one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_weight_gradients = {"enabled": True}  # shared by all threads, because torch runs backward in a thread of its own


@contextmanager
def no_weight_gradients() -> Iterator[None]:
    """Skip the gradients of convolution weights while the block runs, when only input gradients are needed."""
    _weight_gradients["enabled"] = False
    try:
        yield
    finally:
        _weight_gradients["enabled"] = True


class _Convolution(torch.autograd.Function):
    """Convolution or transposed convolution of x (N, C, H, W), without bias; one stride and padding for both sides."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, transposed: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = ([stride] * 2, [padding] * 2, [1, 1], transposed)
        return torch.ops.aten.convolution(x, weight, None, *ctx.how, [0, 0], 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        strides, paddings, dilations, transposed = ctx.how
        if torch.is_grad_enabled() and not _weight_gradients["enabled"]:
            sides = zip(x.shape[2:], gradient.shape[2:], weight.shape[2:], strides, paddings, strict=True)
            # The output padding: rows and columns that the stride left over.
            spare = [0 if transposed else side - (of - 1) * s + 2 * p - kernel for side, of, kernel, s, p in sides]
            back = torch.ops.aten.convolution(gradient, weight, None, strides, paddings, dilations, not transposed, spare, 1)
            return back, None, None, None, None
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(gradient, x, weight, None, *ctx.how, [0, 0], 1, wanted)
        return of_x, of_weight, None, None, None


def _on_gpu(x: Tensor, weight: Tensor, stride: int, padding: int, *, transposed: bool) -> Tensor:
    if torch.is_autocast_enabled("cuda"):
        half = torch.get_autocast_dtype("cuda")
        x, weight = x.to(half), weight.to(half)
    return _Convolution.apply(x, weight, stride, padding, transposed)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0) -> Tensor:
    """As torch's conv2d."""
    if not x.is_cuda:
        return functional.conv2d(x, weight, bias, stride, padding)
    result = _on_gpu(x, weight, stride, padding, transposed=False)
    return result if bias is None else result + bias.to(result.dtype)[:, None, None]


def conv_transpose2d(x: Tensor, weight: Tensor, *, stride: int) -> Tensor:
    """As torch's conv_transpose2d."""
    if not x.is_cuda:
        return functional.conv_transpose2d(x, weight, stride=stride)
    return _on_gpu(x, weight, stride, 0, transposed=True)


class Conv2d(nn.Conv2d):
    """torch's, with one stride and one padding for both sides."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - its name there
        """Feature maps (N, C, H, W) to (N, C', H', W')."""
        return conv2d(input, self.weight, self.bias, stride=self.stride[0], padding=int(self.padding[0]))
