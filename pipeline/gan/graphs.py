"""A network's passes as CUDA graphs: a step is thousands of kernels, most of which take longer to be launched than to run."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.gan.networks.parts import RandomInputs


class _TensorsOnly(nn.Module):
    """`network` with tensors alone as inputs, which are to it what `inputs` are."""

    def __init__(self, network: nn.Module, inputs: tuple[Any, ...], precision: torch.dtype | None) -> None:
        super().__init__()
        self.network, self.precision = network, precision
        self.draws = [isinstance(one, RandomInputs) for one in inputs]
        self.given = [one is not None for one in inputs]

    def forward(self, *tensors: Tensor) -> Tensor:
        left = list(tensors)
        inputs: list[Any] = []
        for draws, given in zip(self.draws, self.given, strict=True):
            if draws:  # the last of all
                inputs.append(RandomInputs(left[0], left[1], tuple(left[2:])))
            else:
                inputs.append(left.pop(0) if given else None)
        # A cache of weights in half precision would outlive the graph.
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
    """Calls `network` on a GPU, and its backward pass, as graphs: for all shapes of its inputs and sets of gradients its own.

    A result lives until the next call with the same shapes, and so do its gradients, weights' too: one call goes backwards, and
    they are used, before the next. Without gradients the network itself is called.
    """

    def __init__(self, network: nn.Module, precision: torch.dtype | None) -> None:
        """`precision` is what autocast takes, if anything."""
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
        # Graphs are captured on a stream of their own, on which torch rightly sees the weights' gradients arrive.
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        with torch.autocast("cuda", enabled=False):  # it is switched on within
            graphed: Any = torch.cuda.make_graphed_callables(wrapped, samples, allow_unused_input=True)
        self.network.load_state_dict(before)  # running statistics moved with every try
        return graphed
