"""Any torch module as an extractor, given the import path of its builder."""

import hashlib
import importlib
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.metrics.extractors import RESIZE_FILTER, Extractor, resize_rgb


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 of the names, dtypes, shapes and bytes of all parameters and buffers, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _builder(path: str) -> Callable[..., Any]:
    """The subclass of torch.nn.Module at `path`, or the function there that is annotated to return one.

    Nothing else is called, so `os:system` is refused. Importing still runs the code of the module. Raises ParamsError.
    """
    module, _, name = path.partition(":")
    try:
        builder = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module may raise anything while it is imported
        raise ParamsError(f"reference.modules: {path} cannot be imported ({' '.join(str(error).split())})") from error
    built_type = builder if isinstance(builder, type) else _return_type(builder)
    if built_type is None:
        raise ParamsError(f"reference.modules: {path} is not called, because it is not annotated to return a torch.nn.Module")
    if not (isinstance(built_type, type) and issubclass(built_type, nn.Module)):
        type_name = getattr(built_type, "__name__", built_type)
        raise ParamsError(f"reference.modules: {path} is not called, because it returns {type_name}, not a torch module")
    return builder


def _return_type(function: object) -> object:
    """The annotated return type of `function`; None if there is none."""
    try:
        return get_type_hints(function).get("return")
    except (TypeError, NameError):  # not a function, or an annotation that cannot be resolved
        return None


def build_module(path: str, arguments: dict[str, Any]) -> nn.Module:
    """The module in `eval` mode; random initial weights come from seed 0. Raises ParamsError."""
    build = _builder(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            module = build(**arguments)
        except Exception as error:  # a user's module may raise anything
            raise ParamsError(f"reference.modules: {path}: {' '.join(str(error).split())}") from error
    if not isinstance(module, nn.Module):
        raise ParamsError(f"reference.modules: {path} returns {type(module).__name__}, not a torch module")
    return module.eval().requires_grad_(False)


def _rows(features: object, name: str, count: int) -> Tensor:
    """`features` as (N, D); feature maps are averaged over positions."""
    if isinstance(features, Tensor) and features.ndim == 4:
        features = features.mean((2, 3))
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != count:
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ParamsError(f"reference.modules: {name} returns {shape} for {count} images; expected (N, D) or (N, D, H, W)")
    return features.float()


def module_extractor(
    *,
    name: str,
    build: str,
    arguments: dict[str, Any],
    side_px: int,
    mean: Sequence[float],
    deviation: Sequence[float],
    device: torch.device,
) -> Extractor:
    """Features of the module that `build` (package.module:callable) returns, for images resized as in clean-fid.

    Its input is RGB in [0, 1], side_px × side_px, minus `mean` (3,), divided by `deviation` (3,). Raises ParamsError.
    """
    module = build_module(build, arguments)
    sha256 = weights_sha256(module)
    module = module.to(device)
    shift, scale = (torch.tensor(channels, device=device)[:, None, None] for channels in (mean, deviation))

    @torch.inference_mode()
    def extract(images: Tensor) -> NDArray[np.float32]:
        scaled = (resize_rgb(images, side_px, device) / 255 - shift) / scale
        return _rows(module(scaled), name, len(images)).cpu().numpy()

    scaling = f"{RESIZE_FILTER}; then (x / 255 - {mean}) / {deviation}"
    runtime = f"{build} by torch on {device.type}"
    return Extractor(name, sha256, side_px, side_px, scaling, runtime, extract)
