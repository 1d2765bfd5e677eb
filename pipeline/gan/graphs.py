"""A network's passes as CUDA graphs: most of a step's thousands of kernels take longer to launch than to run."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.gan.networks.parts import RandomInputs


class _TensorsOnly(nn.Module):
    """Wrap `network` so that it accepts only tensors, as make_graphed_callables needs; `inputs` shows their structure."""

    def __init__(self, network: nn.Module, inputs: tuple[Any, ...], precision: torch.dtype | None) -> None:
        super().__init__()
        self.network, self.precision = network, precision
        self.draws = [isinstance(one, RandomInputs) for one in inputs]
        self.given = [one is not None for one in inputs]

    def forward(self, *tensors: Tensor) -> Tensor:
        left = list(tensors)
        inputs: list[Any] = []
        for draws, given in zip(self.draws, self.given, strict=True):
            if draws:  # always the last input
                inputs.append(RandomInputs(left[0], left[1], tuple(left[2:])))
            else:
                inputs.append(left.pop(0) if given else None)
        # The cache of half-precision weights would outlive the graph.
        with torch.autocast("cuda", self.precision, enabled=self.precision is not None, cache_enabled=False):
            return self.network(*inputs).float()


def _tensors(inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
    flat: list[Tensor] = []
    for one in inputs:
        if isinstance(one, RandomInputs):
            flat += [one.other_latents, one.crossovers, *one.noises]
        elif one is not None:
            flat.append(one)
    return tuple(flat)


class GraphedNetwork:
    """Runs the forward and backward pass of `network` as CUDA graphs, one pair per input shapes and set of trainable weights.

    The next call with the same shapes overwrites the result and all gradients, so run backward and use them first. Without
    gradients the network itself is called.
    """

    def __init__(self, network: nn.Module, precision: torch.dtype | None) -> None:
        """`precision` is the autocast dtype, if any."""
        self.network, self.precision = network, precision
        self._graphs: dict[tuple[Any, ...], Callable[..., Tensor]] = {}

    def __call__(self, *inputs: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return self.network(*inputs).float()
        tensors = _tensors(inputs)
        wanted = tuple(weights.requires_grad for weights in self.network.parameters())
        key = (tuple((tensor.shape, tensor.requires_grad) for tensor in tensors), wanted)
        if key not in self._graphs:
            self._graphs[key] = self._captured(inputs, tensors)
        return self._graphs[key](*tensors)

    def _captured(self, inputs: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        before = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        samples = tuple(tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors)
        wrapped = _TensorsOnly(self.network, inputs, self.precision).train(self.network.training)
        # Graphs are captured on a side stream, where gradients of the weights are expected to accumulate.
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        with torch.autocast("cuda", enabled=False):  # the wrapper enables it
            graphed: Any = torch.cuda.make_graphed_callables(wrapped, samples, allow_unused_input=True)
        self.network.load_state_dict(before)  # warm-up and capture changed the running statistics
        return graphed
