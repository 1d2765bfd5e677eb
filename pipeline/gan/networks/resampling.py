"""Resampling as matrix products: StyleGAN2's low-pass filter, with or without dropping positions, and doubling."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8  # of the low-pass filter


class Resampled(nn.Module):
    """Feature maps or images (N, C, H, W) multiplied by a matrix along each side: `rows` (H', H) and `columns` (W', W).

    Replaces torch's resampling, whose backward pass is not deterministic on a GPU.
    """

    def __init__(self, rows: Tensor, columns: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.rows: Tensor
        self.columns: Tensor

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        rows, columns = self.rows.to(x.dtype), self.columns.to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            x = x.permute(0, 2, 3, 1).reshape(count, height, width * channels)  # the memory order, channels last
            x = torch.bmm(rows.expand(count, -1, -1), x).view(count * len(rows), width, channels)
            x = torch.bmm(columns.expand(len(x), -1, -1), x)
        return x.view(count, len(rows), len(columns), channels).permute(0, 3, 1, 2)


class Blur(Resampled):
    """The filter [1, 3, 3, 1] / 8 along both sides at every `stride`-th place, with `padding` zeros along a side in all; Zhang
    2019, with StyleGAN2's taps.

    Computed as matrix products in training: a depthwise convolution takes thirty times as long with cuDNN on an H100, and its
    backward pass is slower on a CPU, too. For inference on a CPU and in exported graphs it is a depthwise convolution.
    """

    def __init__(self, size: tuple[int, int], padding: int, *, gain: float = 1.0, stride: int = 1) -> None:
        before = padding // 2
        super().__init__(*(math.sqrt(gain) * blurring(side, before, padding - before, stride) for side in size))
        self.register_buffer("kernel", torch.outer(TAPS, TAPS)[None, None] * gain, persistent=False)
        self.kernel: Tensor
        self.padding, self.stride = (before, padding - before) * 2, stride

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or torch.is_grad_enabled():
            return super().forward(x)
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, -1, -1)
        return functional.conv2d(functional.pad(x, self.padding), kernel, stride=self.stride, groups=channels)


def blurring(side: int, before: int, after: int, stride: int) -> Tensor:
    """The matrix that filters a side by TAPS at every `stride`-th position, padded by `before` and `after` zeros."""
    padded = functional.pad(torch.eye(side), (before, after))[:, None]  # (side, 1, before + side + after)
    return functional.conv1d(padded, TAPS[None, None], stride=stride)[:, 0].T.contiguous()


def doubling(side: int) -> Tensor:
    """The matrix (2 · side, side) of [1, 3, 3, 1] / 4 along a side, with the edge repeated: bilinear upsampling."""
    return functional.interpolate(torch.eye(side)[None], scale_factor=2, mode="linear")[0].T.contiguous()


def averaging(side: int, new_side: int) -> Tensor:
    """The matrix (new_side, side) of bilinear resizing, antialiased: where it shrinks, it averages what it skips."""
    rows = functional.interpolate(torch.eye(side)[None, None], (new_side, side), mode="bilinear", antialias=True)
    return rows[0, 0].contiguous()
