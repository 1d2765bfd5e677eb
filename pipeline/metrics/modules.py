"""Any torch module as an extractor, by the import path of what builds it."""

import hashlib
import importlib
from collections.abc import Callable
from typing import Any, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.metrics.extractors import RESIZE_FILTER, Extractor, resized_rgb
from pipeline.metrics.params import ModuleParams


def weights_sha256_of(module: nn.Module) -> str:
    """SHA-256 over name, type, shape and bytes of every parameter and buffer, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _builder(path: str) -> Callable[..., Any]:
    """What `path` names: a subclass of torch.nn.Module, or a function that is annotated to return one.

    Nothing else is called, so that `os:system` is not. Importing it runs the code of its module, all the same.
    """
    place, _, name = path.partition(":")
    try:
        builder = getattr(importlib.import_module(place), name)
    except Exception as error:  # whatever a module raises while it is imported
        raise ParamsError(f"reference.modules: {path} cannot be imported ({' '.join(str(error).split())})") from error
    made = builder if isinstance(builder, type) else _return_type(builder)
    if made is None:
        raise ParamsError(f"reference.modules: {path} is not called, since it is not annotated to return a torch.nn.Module")
    if not (isinstance(made, type) and issubclass(made, nn.Module)):
        raise ParamsError(
            f"reference.modules: {path} is not called: it returns {getattr(made, '__name__', made)}, not a torch module"
        )
    return builder


def _return_type(function: object) -> object:
    """The type that `function` is annotated to return; None where it says nothing."""
    try:
        return get_type_hints(function).get("return")
    except (TypeError, NameError):  # no function, or an annotation that cannot be resolved
        return None


def build_module(params: ModuleParams) -> nn.Module:
    """The module in `eval` mode; weights that it draws come from seed 0. Raises ParamsError."""
    build = _builder(params.build)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            module = build(**params.arguments)
        except Exception as error:  # whatever a stranger's module raises
            raise ParamsError(f"reference.modules: {params.build}: {' '.join(str(error).split())}") from error
    if not isinstance(module, nn.Module):
        raise ParamsError(f"reference.modules: {params.build} returns {type(module).__name__}, not a torch module")
    return module.eval().requires_grad_(False)


def _rows(features: object, name: str, count: int) -> Tensor:
    """`features` as (N, D): feature maps are averaged over places."""
    if isinstance(features, Tensor) and features.ndim == 4:
        features = features.mean((2, 3))
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != count:
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ParamsError(f"reference.modules: {name} gives {shape} for {count} pictures, not a row or maps for each")
    return features.float()


def of_module(params: ModuleParams, device: torch.device) -> Extractor:
    """The module's features of pictures resized as clean-fid does it. Raises ParamsError."""
    module = build_module(params)
    sha256 = weights_sha256_of(module)
    module = module.to(device)
    mean, deviation = (torch.tensor(three, device=device)[:, None, None] for three in (params.mean, params.deviation))

    @torch.inference_mode()
    def of_pictures(pictures: Tensor) -> NDArray[np.float32]:
        scaled = (resized_rgb(pictures, params.side_px, device) / 255 - mean) / deviation
        return _rows(module(scaled), params.name, len(pictures)).cpu().numpy()

    scaling = f"{RESIZE_FILTER}; then (x / 255 - {params.mean}) / {params.deviation}"
    runtime = f"{params.build} by torch on {device.type}"
    return Extractor(params.name, sha256, params.side_px, params.side_px, scaling, runtime, of_pictures)
